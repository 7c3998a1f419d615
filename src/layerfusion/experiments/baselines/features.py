"""What baselines read of images: class tokens of the frozen encoder, and two features after them.

The images are those that the paper's head sees: the augmented views of the training images, and the
evaluation crops of the validation images.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from layerfusion.arithmetic import deterministic
from layerfusion.data.loading import Draw, Item, TrainingImages, evaluation_crops, training_batches
from layerfusion.data.manifest import Manifest
from layerfusion.images.reading import ImageError, read_image
from layerfusion.images.transforms import view_rng
from layerfusion.model.detector import Detector, extract
from layerfusion.model.prefix_cache import open_prefix_cache
from layerfusion.parallel.processes import Processes, open_fabric
from layerfusion.progress import Reporter
from layerfusion.runs.experiment import Experiment
from layerfusion.settings import Profile


@dataclass(frozen=True)
class Features:
    """What is known of n images, in order; all arrays are float32.

    Attributes
    ----------
    tokens
        Class token after every block, shape (n, blocks, width), block 1 first.
    next_to_last
        ``ln_post`` of the last block's class token, shape (n, width).
    embedding
        The tower's output, not normalised: `next_to_last` times its projection, shape
        (n, output width); `next_to_last` itself where a tower has no projection.
    """

    tokens: NDArray[np.float32]
    next_to_last: NDArray[np.float32]
    embedding: NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of images, n."""
        return len(self.tokens)

    def __getitem__(self, rows: NDArray[np.int64]) -> "Features":
        """Return the features of some rows, in the order given."""
        return Features(self.tokens[rows], self.next_to_last[rows], self.embedding[rows])


class NumberedViews(TrainingImages):
    """Augmented views by their number: `Draw(row, number, position)` is view `number` of a row."""

    def __getitem__(self, draw: Draw) -> tuple[Item, int]:
        """Return the uint8 image (3, crop, crop), or the error, and its label."""
        row, number, _ = draw
        try:
            image = read_image(self.root / self.paths[row])
        except ImageError as error:
            return error, self.labels[row]
        return self.transform(image, view_rng(self.paths[row], number)), self.labels[row]


class FrozenEncoder:
    """A profile's encoder as it is before any training, and where its class tokens are kept.

    Parameters
    ----------
    profile
        Of a run; none of its blocks is fine-tuned here, whatever it says.

    Raises
    ------
    UserError
        If the encoder's weights cannot be had, the precision does not fit the hardware, or the
        tower makes its output of anything but the class token.
    """

    def __init__(self, profile: Profile, reporter: Reporter) -> None:
        self.profile, self.reporter = profile, reporter
        self.fabric = open_fabric(profile.training.precision)
        frozen = profile.encoder.model_copy(update={"trained_blocks": 0})
        detector = Detector.build(frozen, profile.head, profile.images)
        detector.prefix_cache = open_prefix_cache(profile.loader, reporter.say)
        self.detector = detector.to(self.fabric.device).eval()
        blank = torch.zeros(1, detector.encoder.width, device=self.fabric.device)
        detector.encoder.tower.final(blank)  # before any image is read

    def training_features(self, experiment: Experiment) -> tuple[Features, NDArray[np.int64]]:
        """Return the features of the views that a run trains on, and their labels, shape (n,).

        With ``training.views`` these are so many views an image, the same for all seeds and runs;
        without, one view an image, drawn from the seed. ViT-L/14's take 98 kB a view in memory.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        images, draws = training_views(experiment)
        labels = np.array([images.labels[draw.row] for draw in draws], dtype=np.int64)
        batches = training_batches(
            images,
            draws,
            batch_size=self.profile.loader.evaluation_batch_size,
            loader=self.profile.loader,
            processes=Processes(),
        )
        with self.reporter.bar(f"views, {experiment.run} run", len(draws)) as bar:

            def pixels() -> Iterator[Tensor]:
                done = 0
                for batch in batches:
                    yield batch.images
                    done += batch.size
                    bar(done, len(draws))

            return self._features(pixels(), len(draws)), labels

    def evaluation_features(self, manifest: Manifest) -> Features:
        """Return the features of the evaluation crop of every image, in the manifest's order.

        Raises
        ------
        ImageError
            If a file cannot be read.
        """
        files, profile = manifest.files, self.profile
        with self.reporter.bar("evaluation crops", len(files)) as bar:
            crops = evaluation_crops(files, profile.images, profile.loader, progress=bar)
            return self._features(crops, len(files))

    def _features(self, batches: Iterable[Tensor], count: int) -> Features:
        """Pass uint8 images through the tower, batch by batch."""
        with deterministic():
            tokens = extract(self.detector, batches, count, autocast=self.fabric.autocast)
            return features_of(self.detector, tokens.numpy())


def training_views(experiment: Experiment) -> tuple[TrainingImages, list[Draw]]:
    """Return a run's training images, and draws that ask for every view of each of them once."""
    views, rows = experiment.profile.training.views, experiment.training.rows
    kind = TrainingImages if views is None else NumberedViews
    images = kind(experiment.manifest.root, rows, experiment.profile.images, seed=experiment.seed)
    return images, [Draw(row, view, row) for view in range(views or 1) for row in range(len(rows))]


@torch.inference_mode()
def features_of(detector: Detector, tokens: NDArray[np.float32]) -> Features:
    """Return the features that a detector's tower makes of its class tokens.

    Parameters
    ----------
    tokens
        Class token after every block, shape (n, blocks, width), float32.
    """
    last = torch.from_numpy(tokens[:, -1]).to(detector.mean.device)
    final = detector.encoder.tower.final(last)
    return Features(tokens, *(part.float().cpu().numpy() for part in final))
