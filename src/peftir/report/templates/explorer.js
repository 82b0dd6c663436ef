// The query explorer: two rows of a task against each other, query by query.
{
  const data = JSON.parse(document.getElementById("explorer-data").textContent);
  const at = (id) => document.getElementById(`explorer-${id}`);
  const [task, left, right] = [at("task"), at("left"), at("right")];
  const ties = 1e-9;
  let point = null; // the [left, right] values that the list is limited to

  const element = (name, text, attributes = {}) => {
    const made = document.createElement(name);
    if (text !== null) made.textContent = text;
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const shape = (name, attributes, title) => {
    const made = document.createElementNS(at("points").namespaceURI, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (title) {
      const label = document.createElementNS(at("points").namespaceURI, "title");
      label.textContent = title;
      made.append(label);
    }
    return made;
  };
  const rows = () => data.tasks[task.value].rows;
  const values = (query) => {
    const all = query.tasks[task.value].values;
    return [all[left.value], all[right.value]];
  };
  const difference = (query) => values(query)[1] - values(query)[0];
  const signed = (value) => {
    const size = Math.abs(value).toFixed(3);
    return (Number(size) === 0 ? "" : value < 0 ? "−" : "+") + size;
  };

  // Groups of queries: by length, by words shared with the relevant document, by BM25's rank of it.
  const bm25 = (query) => query.tasks[0].ranks[data.tasks[0].rows.indexOf("bm25")][0];
  const inRanges = (value, ranges) => ranges.find(([low, high]) => value >= low && value <= high);
  const label = ([low, high]) => (low === high ? `${low}` : high === Infinity ? `${low} or more` : `${low} to ${high}`);
  const groupings = [
    ["Words in the query", (query) => query.words, [[1, 4], [5, 8], [9, 16], [17, Infinity]]],
    ["Words shared with the relevant document", (query) => query.shared, [[0, 0], [1, 2], [3, 5], [6, Infinity]]],
    ["BM25’s rank of the relevant document", bm25, [[1, 1], [2, 10], [11, 100], [101, Infinity]]],
  ];
  const tally = (queries) => [
    queries.filter((query) => difference(query) > ties).length,
    queries.filter((query) => Math.abs(difference(query)) <= ties).length,
    queries.filter((query) => difference(query) < -ties).length,
  ];

  function fill(select, options, chosen) {
    select.replaceChildren(...options.map((name, i) => element("option", name, { value: i })));
    select.value = Math.max(0, options.indexOf(chosen));
  }

  function drawCounts() {
    const line = (title, queries, group) => {
      const row = element("tr", null);
      row.append(element("th", title, { scope: "row" }));
      const mean = queries.reduce((sum, query) => sum + difference(query), 0) / queries.length;
      for (const count of [queries.length, ...tally(queries)]) row.append(element("td", count));
      row.append(element("td", queries.length ? signed(mean) : "–"));
      if (group) row.classList.add("group");
      return row;
    };
    const lines = [line("All queries shown", data.queries)];
    for (const [title, value, ranges] of groupings) {
      const heading = element("tr", null, { class: "title" });
      heading.append(element("th", title, { scope: "rowgroup", colspan: 6 }));
      lines.push(heading);
      for (const range of ranges) {
        const found = data.queries.filter((query) => value(query) !== null && inRanges(value(query), ranges) === range);
        if (found.length) lines.push(line(label(range), found, true));
      }
      const none = data.queries.filter((query) => value(query) === null);
      if (none.length) lines.push(line("not found", none, true));
    }
    at("counts").replaceChildren(...lines);
  }

  function drawPoints() {
    const groups = new Map();
    for (const query of data.queries) {
      const key = values(query).join(" ");
      groups.set(key, (groups.get(key) ?? 0) + 1);
    }
    const place = (value) => 40 + 300 * value;
    const svg = at("points");
    svg.replaceChildren(
      shape("path", { d: `M40 40V340H340`, class: "frame" }),
      shape("path", { d: `M40 340L340 40`, class: "diagonal" }),
    );
    for (const tick of [0, 0.5, 1]) {
      const below = shape("text", { x: place(tick), y: 368, "text-anchor": "middle" });
      const beside = shape("text", { x: 22, y: 384 - place(tick), "text-anchor": "end" });
      below.textContent = beside.textContent = tick;
      svg.append(below, beside);
    }
    const names = [rows()[left.value], rows()[right.value]];
    const x = shape("text", { x: 190, y: 386, "text-anchor": "middle" });
    const y = shape("text", { x: 6, y: 14 });
    [x.textContent, y.textContent] = names.map((name) => `${data.tasks[task.value].measure} of ${name}`);
    svg.append(x, y);
    for (const [key, count] of groups) {
      const pair = key.split(" ").map(Number);
      const title = `${count} ${count === 1 ? "query" : "queries"}: ${names[0]} ${pair[0].toFixed(3)}, ${names[1]} ${pair[1].toFixed(3)}`;
      const mark = shape("circle", {
        cx: place(pair[0]), cy: 380 - place(pair[1]), r: Math.min(16, 3 + Math.sqrt(count)),
        tabindex: 0, role: "button", "aria-label": title, "aria-pressed": String(point?.join(" ") === key),
      }, title);
      const choose = () => {
        point = point?.join(" ") === key ? null : pair;
        drawPoints();
        drawList();
        [...svg.children].find((other) => other.getAttribute("aria-label") === title).focus();
      };
      mark.addEventListener("click", choose);
      mark.addEventListener("keydown", (event) => {
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          choose();
        }
      });
      svg.append(mark);
    }
  }

  function drawList() {
    const words = at("filter").value.toLowerCase();
    const order = at("order").value;
    const keys = {
      gain: (query) => -difference(query),
      loss: difference,
      change: (query) => -Math.abs(difference(query)),
    };
    const found = data.queries
      .filter((query) => !point || values(query).join(" ") === point.join(" "))
      .filter((query) => query.text.toLowerCase().includes(words))
      .sort((a, b) => keys[order](a) - keys[order](b));
    at("found").textContent = `${found.length} of ${data.queries.length} queries`;
    at("list").replaceChildren(...found.map((query) => {
      const button = element("button", null, { type: "button", "aria-expanded": "false" });
      const change = difference(query);
      button.append(element("span", Math.abs(change) <= ties ? "=" : signed(change), { class: "change" }), element("span", query.text));
      const item = element("li", null);
      item.append(button);
      button.addEventListener("click", () => {
        const open = button.getAttribute("aria-expanded") === "true";
        button.setAttribute("aria-expanded", String(!open));
        if (open) item.lastElementChild.remove();
        else item.append(detail(query));
      });
      return item;
    }));
  }

  function detail(query) {
    const made = element("div", null, { class: "detail" });
    const grades = new Map(query.relevant);
    const chosen = [left, right].map((select) => Number(select.value));
    const head = element("p", null, { class: "where" });
    for (const [i, [number]] of query.relevant.entries()) {
      const others = chosen.filter((row) => rows()[row] !== "bm25");
      const ranks = [["BM25", bm25Rank(query, i)], ...others.map((row) => [rows()[row], query.tasks[task.value].ranks[row][i]])];
      const text = ranks.map(([name, rank]) => `${name} ${rank ?? "not found"}`).join(" → ");
      head.append(element("span", `Rank of ${data.documents[number][0]}: ${text}`));
    }
    made.append(head);
    const pair = element("div", null, { class: "pair" });
    for (const row of chosen) {
      const column = element("div", null);
      column.append(element("h3", `${rows()[row]}: ${query.tasks[task.value].values[row].toFixed(3)}`));
      const list = element("ol", null);
      for (const number of query.tasks[task.value].top[row]) {
        const [id, text] = data.documents[number];
        const item = element("li", null);
        item.append(element("strong", id));
        if (grades.has(number)) item.append(element("span", `relevant, grade ${grades.get(number)}`, { class: "answer" }));
        item.append(element("p", text));
        list.append(item);
      }
      column.append(list);
      pair.append(column);
    }
    made.append(pair);
    return made;
  }

  function bm25Rank(query, i) {
    return query.tasks[0].ranks[data.tasks[0].rows.indexOf("bm25")][i];
  }

  function draw() {
    point = null;
    drawCounts();
    drawPoints();
    drawList();
  }

  function changeTask() {
    const names = rows();
    fill(left, names, "full");
    fill(right, names, names.at(-1));
    draw();
  }

  fill(task, data.tasks.map((each) => each.title));
  task.addEventListener("change", changeTask);
  for (const select of [left, right]) select.addEventListener("change", draw);
  at("filter").addEventListener("input", drawList);
  at("order").addEventListener("change", drawList);
  changeTask();
}
