"""Full fine-tuning: all weights of the backbone are trained."""

from peftir.tuners.methods import Method

METHOD = Method(
    name="full", summary="every weight", reference="Devlin et al. 2019, section 3.2", trains_backbone=True
)
