"""Whether settings are those of a detector that can be built: known before weights are read."""

from layerfusion.errors import UserError
from layerfusion.model.fusion import blocks_read
from layerfusion.model.weights import model_config, weights_source
from layerfusion.settings import EncoderSettings, HeadSettings, ImageSettings


def check_architecture(encoder: EncoderSettings, head: HeadSettings, images: ImageSettings) -> None:
    """Raise an error if settings do not go together; nothing is read but the model's description.

    Raises
    ------
    UserError
        If there is no such model or it is no vision transformer, its weights are not to be found,
        it has fewer blocks than are trained or read, or takes crops of another size.
    """
    vision = model_config(encoder.model)["vision_cfg"]
    depth, side = vision["layers"], vision.get("image_size", images.crop)
    if encoder.trained_blocks > depth:
        raise UserError(
            f"encoder.trained_blocks is {encoder.trained_blocks}, but the tower has {depth} blocks"
        )
    blocks_read(head, depth)
    if side not in (images.crop, [images.crop, images.crop]):
        raise UserError(
            f"images.crop is {images.crop} px, but {encoder.model} takes images of {side} px; set "
            f"images.crop={side}"
        )
    weights_source(encoder)
