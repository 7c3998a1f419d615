"""Where a training gets its batches from: prepared images, or features of a frozen encoder."""

from collections.abc import Iterator, Sequence

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
    training_batches,
)
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.data.sampling import Draw
from layerfusion.model.detector import Detector
from layerfusion.parallel.processes import Processes
from layerfusion.scoring.predictions import predict_each, predictions_of
from layerfusion.settings import Profile

View = tuple[int, int]  # of an image: its row, and the number of the augmented view


class PreparedImages:
    """Images that are decoded, augmented and cropped whenever they are drawn."""

    def __init__(
        self, images: TrainingImages, profile: Profile, fabric: Fabric, processes: Processes
    ) -> None:
        self.images, self.profile = images, profile
        self.fabric, self.processes = fabric, processes

    def training_batches(self, draws: Sequence[Draw]) -> Iterator[TrainingBatch]:
        """Yield this process's shares of the batches of draws.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        return training_batches(
            self.images,
            draws,
            batch_size=self.profile.training.batch_size,
            loader=self.profile.loader,
            processes=self.processes,
        )

    def predict(self, model: nn.Module, manifest: Manifest, progress: Progress) -> pd.DataFrame:
        """Return predictions of evaluation images, as `predict_each`.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        (predictions,) = predict_each(
            model,
            manifest,
            self.profile.images,
            self.profile.loader,
            device=self.fabric.device,
            progress=progress,
            processes=self.processes,
        )
        return predictions


class FrozenFeatures(PreparedImages):
    """Class tokens of a frozen encoder in place of images: each view is computed once, then cached.

    They are bit for bit what the detector makes of the images: what the head reads does not change
    while it learns. ViT-L/14's take 98 kB a view in memory.

    Parameters
    ----------
    images
        With numbered views: without, no view would come a second time.
    detector
        None of its blocks is fine-tuned.
    """

    def __init__(
        self, images: TrainingImages, profile: Profile, fabric: Fabric, detector: Detector
    ) -> None:
        super().__init__(images, profile, fabric, Processes())
        self.detector = detector
        self._views: dict[View, Tensor] = {}
        self._crops: list[Tensor] = []

    def training_batches(self, draws: Sequence[Draw]) -> Iterator[TrainingBatch]:
        """Yield the batches of draws: class tokens (n, blocks, width) and labels (n,), float32.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        size, labels = self.profile.training.batch_size, self.images.labels
        seen, plan = set(self._views), []
        for start in range(0, len(draws), size):
            views = [
                ((draw.row, self.images.view(draw)), draw) for draw in draws[start : start + size]
            ]
            new = {view: draw for view, draw in views if view not in seen}
            seen |= new.keys()
            plan.append(([view for view, _ in views], new))
        due = [list(new.values()) for _, new in plan if new]
        loaded = loaded_draws(self.images, due, self.profile.loader)
        for batch, new in plan:
            if new:
                pixels, _ = next(loaded)
                self._views |= zip(new, self._class_tokens(pixels), strict=True)
            tokens = torch.stack([self._views[view] for view in batch])
            target = torch.tensor([labels[row] for row, _ in batch], dtype=torch.float32)
            yield TrainingBatch(tokens, target, 1.0, len(batch))

    def predict(self, model: nn.Module, manifest: Manifest, progress: Progress) -> pd.DataFrame:
        """Return predictions of evaluation images, the same ones in every epoch.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        files = manifest.files
        if not self._crops:
            images, loader = self.profile.images, self.profile.loader
            crops = evaluation_crops(files, images, loader, progress=progress)
            self._crops = [self._class_tokens(batch) for batch in crops]
        model.eval()
        with torch.inference_mode():
            logits = [model(tokens).cpu().double().numpy() for tokens in self._crops]
        progress(len(files), len(files))
        return predictions_of(manifest, np.concatenate(logits))

    def _class_tokens(self, pixels: Tensor) -> Tensor:
        with torch.no_grad(), self.fabric.autocast():
            return self.detector.class_tokens(self.fabric.to_device(pixels))


def choose_source(
    images: TrainingImages,
    profile: Profile,
    fabric: Fabric,
    processes: Processes,
    detector: Detector,
) -> PreparedImages:
    """Return cached features if the encoder is frozen, views come again and there is a cache."""
    again = images.views is not None and detector.prefix_cache is not None
    if again and detector.encoder.trained_blocks == 0 and processes.size == 1:
        return FrozenFeatures(images, profile, fabric, detector)
    return PreparedImages(images, profile, fabric, processes)
