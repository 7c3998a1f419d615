"""Where a training gets its batches and its validation from: images, or features kept of them.

What the frozen blocks give for an image does not change while a training lasts.
"""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from layerfusion.data.loading import (
    Draw,
    TrainingBatch,
    TrainingImages,
    evaluation_crops,
    loaded_draws,
    training_batches,
)
from layerfusion.data.manifest import Manifest, Progress
from layerfusion.model.detector import Detector
from layerfusion.model.tower import FrozenTokens
from layerfusion.parallel.processes import Processes
from layerfusion.scoring.predictions import predict_each, predictions_of
from layerfusion.settings import Profile

# What is kept of the validation images, bytes: ten times the demo's, hundreds of ViT-L/14.
MEMORY_LIMIT = 256 * 10**6


class Source:
    """Batches of a training, and predictions of its validation images.

    Several processes prepare images whenever they are drawn. A process on its own keeps the frozen
    tokens of the validation images, if these fit into `MEMORY_LIMIT`, and where no block is trained
    the class tokens of the training images: numbers are the same bits.
    """

    def __init__(
        self,
        images: TrainingImages,
        profile: Profile,
        fabric: Fabric,
        processes: Processes,
        detector: Detector,
    ) -> None:
        self.images, self.profile, self.fabric = images, profile, fabric
        self.processes, self.detector = processes, detector
        self.cached = detector.prefix_cache is not None
        self._views: dict[tuple[int, int], Tensor] = {}  # by row, and number of the view
        self._crops: list[FrozenTokens] = []  # of the validation images, by batch

    @property
    def keeps_views(self) -> bool:
        """Whether each view of a training image is computed once; ViT-L/14's take 98 kB a view.

        Its encoder is frozen, views come again, and there is a cache for them.
        """
        again = self.images.views is not None and self.cached
        return again and self.detector.encoder.trained_blocks == 0 and self.processes.size == 1

    def training_batches(self, draws: Sequence[Draw]) -> Iterator[TrainingBatch]:
        """Yield this process's shares of the batches of draws.

        Images of a batch are class tokens (n, blocks, width) where the source `keeps_views`.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        size, loader = self.profile.training.batch_size, self.profile.loader
        if self.keeps_views:
            return self._kept_batches(draws, size)
        return training_batches(
            self.images, draws, batch_size=size, loader=loader, processes=self.processes
        )

    def _kept_batches(self, draws: Sequence[Draw], size: int) -> Iterator[TrainingBatch]:
        labels, seen, plan = self.images.labels, set(self._views), []
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
                with torch.no_grad(), self.fabric.autocast():
                    tokens = self.detector.class_tokens(self.fabric.to_device(pixels))
                self._views |= zip(new, tokens, strict=True)
            tokens = torch.stack([self._views[view] for view in batch])
            target = torch.tensor([labels[row] for row, _ in batch], dtype=torch.float32)
            yield TrainingBatch(tokens, target, 1.0, len(batch))

    def predict(self, model: nn.Module, manifest: Manifest, progress: Progress) -> pd.DataFrame:
        """Return predictions of validation images, the same ones in every epoch.

        Parameters
        ----------
        model
            The detector as `fabric.setup` returned it.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        if self.processes.size == 1:
            return predictions_of(manifest, self._logits(manifest, progress))
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

    @torch.inference_mode()
    def _logits(self, manifest: Manifest, progress: Progress) -> NDArray[np.float64]:
        files, detector = manifest.files, self.detector.eval()
        logits: list[NDArray[np.float64]] = []
        kept, done = [], 0
        for frozen in self._crops or self._frozen_crops(manifest):
            with self.fabric.autocast():
                scores = detector.classify(detector.encoder.suffix(frozen))
            logits.append(scores.cpu().double().numpy())
            done += len(scores)
            progress(done, len(files))
            if sum(part.nbytes for part in frozen) * len(files) <= MEMORY_LIMIT * len(scores):
                kept.append(frozen)
        self._crops = kept if len(kept) == len(logits) else []
        return np.concatenate(logits)

    def _frozen_crops(self, manifest: Manifest) -> Iterator[FrozenTokens]:
        for crops in evaluation_crops(manifest.files, self.profile.images, self.profile.loader):
            with self.fabric.autocast():
                yield self.detector.frozen_tokens(self.fabric.to_device(crops))
