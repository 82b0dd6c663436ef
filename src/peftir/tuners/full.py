"""Full fine-tuning: every weight is trained, no module is added."""

from peftir.tuners.methods import Method

METHOD = Method(
    name="full", summary="every weight", reference="Devlin et al. 2019, section 3.2", trains_backbone=True
)
