"""The untrained backbone, without inserted modules."""

from peftir.tuners.methods import Method

METHOD = Method(name="zero_shot", summary="the untrained backbone", reference="none")
