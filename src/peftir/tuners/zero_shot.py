"""The backbone as it comes: nothing is trained, no module is added."""

from peftir.tuners.methods import Method

METHOD = Method(name="zero_shot", summary="nothing: the backbone as it comes", reference="none")
