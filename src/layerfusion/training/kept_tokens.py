"""Class tokens of a frozen encoder, kept in memory: a view is prepared and passes it only once."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from layerfusion.data.loading import (
    TrainingBatch,
    TrainingImages,
    evaluation_crops,
    loaded_draws,
)
from layerfusion.data.manifest import Manifest
from layerfusion.data.sampling import Draw
from layerfusion.model.detector import Detector
from layerfusion.scoring.predictions import predictions_of
from layerfusion.settings import Profile


class KeptTokens:
    """What the head of a frozen encoder learns from and is validated on, by image and view.

    Batches are those of `layerfusion.data.loading.training_batches` with class tokens in place of
    images, bit for bit what the detector makes of these: what the head reads does not change while
    it learns. ViT-L/14's take 98 kB a view in memory.

    Parameters
    ----------
    detector
        None of its blocks is fine-tuned, and it keeps what its frozen blocks give in a cache.
    profile
        With numbered views: without, no view would come a second time.
    """

    def __init__(self, detector: Detector, profile: Profile, fabric: Fabric) -> None:
        self.detector, self.profile, self.fabric = detector, profile, fabric
        self._views: dict[tuple[int, int], Tensor] = {}
        self._crops: list[Tensor] = []

    @staticmethod
    def serves(detector: Detector, profile: Profile) -> bool:
        """Say whether a training has views that come again, and an encoder that stays as it is."""
        again = profile.training.views is not None and detector.prefix_cache is not None
        return again and detector.encoder.trained_blocks == 0

    def training_batches(
        self, images: TrainingImages, draws: Sequence[Draw], *, batch_size: int
    ) -> Iterator[TrainingBatch]:
        """Yield the batches of the draws: class tokens (n, blocks, width) and labels (n,), float32.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        batches = [draws[i : i + batch_size] for i in range(0, len(draws), batch_size)]
        keys = [[(draw.row, images.view(draw)) for draw in batch] for batch in batches]
        new = self._first_seen(batches, keys)
        loaded = loaded_draws(
            images, [list(own.values()) for own in new if own], self.profile.loader
        )
        for batch, names, own in zip(batches, keys, new, strict=True):
            if own:
                pixels, _ = next(loaded)
                self._views |= zip(own, self._class_tokens(pixels), strict=True)
            labels = torch.tensor([images.labels[draw.row] for draw in batch], dtype=torch.float32)
            tokens = torch.stack([self._views[name] for name in names])
            yield TrainingBatch(tokens, labels, 1.0, len(batch))

    def predict(
        self, model: nn.Module, manifest: Manifest, progress: Callable[[int, int], None]
    ) -> pd.DataFrame:
        """Return the predictions of evaluation images.

        Returns
        -------
        DataFrame
            As `layerfusion.scoring.predictions.predict`.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        if not self._crops:
            files = [manifest.root / path for path in manifest.rows["path"]]
            crops = evaluation_crops(
                files, self.profile.images, self.profile.loader, progress=progress
            )
            self._crops = [self._class_tokens(batch) for batch in crops]
        model.eval()
        with torch.inference_mode():
            logits = [model(tokens).cpu().double().numpy() for tokens in self._crops]
        progress(len(manifest.rows), len(manifest.rows))
        return predictions_of(manifest, np.concatenate(logits))

    def _first_seen(
        self, batches: list[Sequence[Draw]], keys: list[list[tuple[int, int]]]
    ) -> list[dict[tuple[int, int], Draw]]:
        """Return which draws of each batch are of views that no batch before has had."""
        seen, new = set(self._views), []
        for batch, names in zip(batches, keys, strict=True):
            own = {name: draw for name, draw in zip(names, batch, strict=True) if name not in seen}
            seen |= own.keys()
            new.append(own)
        return new

    def _class_tokens(self, pixels: Tensor) -> Tensor:
        with torch.no_grad(), self.fabric.autocast():
            return self.detector.class_tokens(self.fabric.to_device(pixels))
