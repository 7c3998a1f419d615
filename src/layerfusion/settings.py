"""Every setting of a run, in one place: profiles are YAML files checked against these models.

YAML that a user writes is read strictly: whatever is wrong with it is one sentence with its line.
Plain values mean what they look like, as in YAML 1.2: ``010`` and ``1:30`` stay text (YAML 1.1 has
8 and 90 there), so do ``yes`` and ``off``, and ``1e-4`` is a number.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from layerfusion.errors import UserError
from layerfusion.files import read_text
from layerfusion.paths import PACKAGE, with_home

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """A model whose values never change, and that refuses names it does not know."""

    # No setting is infinite: most that bound something would pass, and fail where they are used.
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def below_root(path: str) -> str:
    """Return a POSIX path, or raise the ValueError of one that leaves the folder it is below."""
    if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
        raise ValueError("must be relative to the data root and stay below it")
    return path


_PLAIN_VALUES = {
    "null": r"~|null|Null|NULL|",
    "bool": r"true|True|TRUE|false|False|FALSE",
    "int": r"[-+]?(?:0|[1-9][0-9]*)",
    "float": r"[-+]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
}


class _StrictLoader(yaml.SafeLoader):
    """Reads YAML without aliases, which can stand for any amount, and without doubled names."""

    yaml_implicit_resolvers = {  # noqa: RUF012, PyYAML's own way
        None: [
            (f"tag:yaml.org,2002:{name}", re.compile(rf"(?:{pattern})\Z"))
            for name, pattern in _PLAIN_VALUES.items()
        ]
    }

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*) are not read", problem_mark=mark)
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (yaml.YAMLError, RecursionError):
            raise
        except Exception as error:  # whatever PyYAML meets in a value that is not what its tag says
            problem = f"a value cannot be read: {error}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        names: list[Any] = []
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in names:
                problem = f"'{name}' stands there twice"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=key.start_mark)
            names.append(name)
        return super().construct_mapping(node, deep)


def parse_yaml(text: str, what: str) -> Any:
    """Return the value that a YAML text stands for.

    Parameters
    ----------
    what
        What the text is, as an error begins: ``profile 'mine.yaml'``.

    Raises
    ------
    UserError
        If the text is not YAML, or has aliases or a name twice.
    """
    try:
        return yaml.load(text, _StrictLoader)  # noqa: S506, a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        problem = ", ".join(filter(None, (error.context, error.problem)))
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problem = f"{error.reason} (character #x{error.character:04x})"
    except RecursionError:
        raise UserError(f"{what} is nested too deeply to be read") from None
    raise UserError(f"{what} is not valid YAML, line {line}: {' '.join(problem.split())}")


def read_yaml(path: Path, what: str) -> Any:
    """Return the value in a YAML file.

    Parameters
    ----------
    what
        What the file is, as an error begins.

    Raises
    ------
    UserError
        If the file cannot be read, or as for `parse_yaml`.
    """
    try:
        return parse_yaml(read_text(path), what)
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{what} is not UTF-8 from line {line} on; save it as UTF-8") from None
    except FileNotFoundError:
        raise UserError(f"there is no {what}") from None
    except OSError as error:
        raise UserError(f"{what} cannot be read: {error.strerror}") from None


def checked(model: type[Model], values: Any, what: str) -> Model:
    """Return the values as a model, or raise a UserError that names the first wrong setting."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        setting = ".".join(str(part) for part in first["loc"]) or "settings"
        reason = first["msg"].removeprefix("Value error, ")
        if first["type"] == "extra_forbidden":
            reason = "there is no such setting"
        raise UserError(f"{what}, setting '{setting}': {reason}") from None


Probability = Annotated[float, Field(ge=0, le=1)]
PrefixPrecision = Literal["float32", "float16", "bfloat16"]
LastBlock = Literal["full", "class_token"]
Tokens = Literal["class", "patches"]
Blocks = Literal["all", "last", "mean"]
WeightsPer = Literal["block", "feature"]
Activation = Literal["quick_gelu", "gelu"]
# Bounded where no machine and no float32 goes further: what passes here can be used.
Count = Annotated[int, Field(ge=1, le=10**9)]
MOST_PROCESSES = 1024
Processes = Annotated[int, Field(ge=0, le=MOST_PROCESSES)]
BatchSize = Annotated[int, Field(ge=1, le=2**16)]
Positive = Annotated[float, Field(gt=0, le=1e6)]
Mean = Annotated[float, Field(ge=-1e6, le=1e6)]
Deviation = Annotated[float, Field(ge=1e-6, le=1e6)]
Channels = tuple[float, float, float]  # red, green, blue
Normalisation = tuple[Channels, Channels]  # mean and standard deviation of pixels in 0..1
PROFILES = PACKAGE / "profiles"
LAYOUTS = PACKAGE / "data" / "layouts"
PUBLISHED_KINDS = tuple(sorted(path.stem for path in LAYOUTS.glob("*.yaml")))
if TYPE_CHECKING:
    PublishedKind = str
else:
    PublishedKind = Literal[PUBLISHED_KINDS]
LARGEST_SEED = 2**32 - 1  # that scikit-learn takes


class EncoderSettings(Strict):
    """The visual tower (paper, section 2: OpenCLIP's) and where its weights come from."""

    # OpenCLIP model name, the path of a model-config JSON, 'timm/NAME' for a tower of timm's, or
    # 'module:function' for one of your own (`layerfusion.model.tower`).
    model: str
    # A pretrained tag such as 'openai', a name that `layerfusion weights list` shows, a local
    # weights file, 'embedded' (those that come with this package), 'random', or 'own' for a module
    # that brings its own.
    weights: str
    # auto follows the weights: OpenAI's were trained with QuickGELU.
    activation: Literal["auto", "quick_gelu", "gelu"] = "auto"
    # Mean that is subtracted from pixels in 0..1: red, green, blue; None follows the weights.
    mean: tuple[Mean, Mean, Mean] | None = None
    # Deviation that they are then divided by; None follows the weights.
    std: tuple[Deviation, Deviation, Deviation] | None = None
    # Last blocks that are fine-tuned.
    trained_blocks: int = Field(default=2, ge=0, le=10_000)
    # Seed of the weights when they are 'random'.
    random_seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    # float16: round what the frozen blocks give, so that keeping it takes half the room and
    # numbers are the same with and without; bfloat16: compute it in that, which is faster where
    # the hardware multiplies it, and many times slower where it does not.
    prefix_precision: PrefixPrecision = "float32"
    # class_token: compute nothing else of the last block, if it is trained.
    last_block: LastBlock = "full"
    # What is read of a block: its class token, as in the paper, or the mean of its patch tokens.
    tokens: Tokens = Field(default="class", exclude_if=lambda tokens: tokens == "class")

    @model_validator(mode="after")
    def _patches_are_computed(self) -> "EncoderSettings":
        if self.tokens == "patches" and self.last_block == "class_token":
            raise ValueError("tokens=patches reads what last_block=class_token does not compute")
        return self


class HeadSettings(Strict):
    """The fusion head (paper, section 2): z = sum_l alpha_l (W_p h_l + b_p), then a classifier."""

    # Ablations: last reads the last block's class token only; mean reads all, each with the weight
    # 1/L that they start with, and learns no other.
    blocks: Blocks = "all"
    # tokens is no fusion: a linear classifier of all blocks' class tokens side by side.
    kind: Literal["fusion", "tokens"] = Field(
        default="fusion", exclude_if=lambda kind: kind == "fusion"
    )
    # Left out where they are the paper's, so that they are no news to runs made before them.
    # Ablation: numbers of the blocks that are read, counted from 1; None: all.
    reads: tuple[Annotated[int, Field(le=10_000)], ...] | None = Field(
        default=None, min_length=1, exclude_if=lambda reads: reads is None
    )
    # Ablation: feature gives each feature of the projection its own weights of the blocks; the
    # paper's are the same for all features.
    weights_per: WeightsPer = Field(default="block", exclude_if=lambda per: per == "block")
    # Bounded, as sides of images are: a stranger's detector says them, and memory follows.
    projection_width: int = Field(default=256, ge=1, le=8192)
    hidden_width: int = Field(default=256, ge=1, le=8192)
    dropout: Probability = 0.5

    @model_validator(mode="after")
    def _blocks_are_read_once(self) -> "HeadSettings":
        if self.reads is not None:
            if list(self.reads) != sorted(set(self.reads)) or self.reads[0] < 1:
                raise ValueError("reads must be block numbers from 1, each once, in their order")
            if self.blocks == "last":
                raise ValueError(
                    "reads does not go with blocks=last, which reads one block already"
                )
        if self.kind == "tokens" and (self.blocks == "mean" or self.weights_per == "feature"):
            raise ValueError("kind=tokens has no block weights, so blocks=mean and weights_per "
                             "have no meaning with it")  # fmt: skip
        return self


class AugmentationSettings(Strict):
    """Training images: the steps of `images.transforms.TrainingTransform`, in their order."""

    flip_probability: Probability = 0.5
    jitter_probability: Probability = 0.3
    jitter_brightness: float = Field(default=0.1, ge=0, le=1)
    jitter_contrast: float = Field(default=0.1, ge=0, le=1)
    jitter_saturation: float = Field(default=0.1, ge=0, le=1)
    jitter_hue: float = Field(default=0.02, ge=0, le=0.5)
    rotation_probability: Probability = 0.2
    rotation_degrees: float = Field(default=5.0, ge=0, le=180)
    jpeg_probability: Probability = 0.5
    jpeg_quality: tuple[int, int] = (50, 100)
    resample_probability: Probability = 0.6
    resample_size: tuple[int, int] = (80, 192)

    @model_validator(mode="after")
    def _ranges_ascend(self) -> "AugmentationSettings":
        for name, (low, high) in {
            "jpeg_quality": self.jpeg_quality,
            "resample_size": self.resample_size,
        }.items():
            if not 1 <= low <= high <= 8192:
                raise ValueError(f"{name} must be [low, high] with 1 <= low <= high <= 8192")
        if self.jpeg_quality[1] > 100:
            raise ValueError("jpeg_quality must not exceed 100")
        return self


class ImageSettings(Strict):
    """How an image file becomes the pixels that the encoder sees."""

    # Side of the square crop, px.
    crop: int = Field(default=224, ge=1, le=4096)
    # A shorter side below this is enlarged, px.
    min_side: int = Field(default=256, ge=1, le=8192)
    augmentation: AugmentationSettings = AugmentationSettings()

    @model_validator(mode="after")
    def _crop_fits(self) -> "ImageSettings":
        if self.min_side < self.crop:
            raise ValueError("min_side must be at least crop, or a crop may not fit into its image")
        return self


class TrainingSettings(Strict):
    """Optimisation (paper, section 3; the author's code where the paper is silent)."""

    batch_size: BatchSize = 16
    epochs: Count = 3
    head_learning_rate: Positive = 3e-4
    # Of the block logits a alone; None: that of the head, at which few steps leave alpha near 1/L.
    block_weights_learning_rate: Positive | None = Field(
        default=None, exclude_if=lambda rate: rate is None
    )
    backbone_learning_rate: Positive = 1e-5
    weight_decay: float = Field(default=1e-4, ge=0, le=1e6)
    # Largest L2 norm of the gradient.
    clip_norm: Positive = 1.0
    # Epochs without a better AUC before a stop.
    patience: Count = 1
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    # Shorter sides below this are small, px.
    small_side: int = Field(default=512, ge=0, le=10**9)
    # Sampling weight of small images.
    small_weight: float = Field(default=1.25, ge=1e-6, le=1e6)
    # Stop after so many steps.
    max_steps: Count | None = None
    # Left out where there is none, so that it is no news to runs that were made before it.
    # Augmented views that an image has, the same in all epochs, seeds and runs, so that a frozen
    # encoder sees each of them once; None: a new one at every draw.
    views: Count | None = Field(default=None, exclude_if=lambda views: views is None)
    # Minutes between two savings; 0 saves after every step.
    checkpoint_minutes: float = Field(default=10, ge=0, le=1e6)


class LoaderSettings(Strict):
    """How images are read and scored: speed, not numbers (a batch's size moves their last bits)."""

    # Processes that read images; None: one a core, 8 at most.
    workers: Processes | None = None
    evaluation_batch_size: BatchSize = 64
    # Keep what the frozen blocks give for every image in the user's cache.
    prefix_cache: bool = False


class ComputeSettings(Strict):
    """How a processor computes: it decides the last bits of numbers, and so no run's key."""

    # portable: those of every x86-64 processor with AVX2, for the same bits on all.
    instructions: Literal["native", "portable"] = "native"
    # Number of threads; None: as many as torch chooses.
    threads: int | None = Field(default=None, ge=1, le=MOST_PROCESSES)


class FolderSource(Strict):
    """A tree of real and synthetic folders below the data root (`data.sources.folder`)."""

    kind: Literal["folder"]
    # YAML file that says which folder is what.
    layout: str | None = None


class WorldSource(Strict):
    """Pictures that the program makes itself (`data.sources.world`): a world, not photos."""

    kind: Literal["world"]
    seed: int = Field(default=0, ge=0, le=LARGEST_SEED)
    # Pictures in each of the sources constrained and social.
    train_per_class: Count
    # Pictures in each of the splits val and test.
    evaluation_per_class: Count


class PublishedSource(Strict):
    """A published data set as its archive extracts; where it is not there, it has no images.

    `layerfusion.data.sources.published` says where it is looked for.
    """

    # Name of its layout file in `LAYOUTS`.
    kind: PublishedKind
    # Where the set lies, below the data root; None: where its archive extracts to, or another
    # folder that it is known to lie in.
    folder: Annotated[str, Field(min_length=1), AfterValidator(below_root)] | None = None


Source = Annotated[FolderSource | WorldSource | PublishedSource, Field(discriminator="kind")]


class QuotaSettings(Strict):
    """How many training images of one source and class are used."""

    # Value of the manifest's `source`.
    source: str = Field(min_length=1)
    label: Literal["real", "synthetic"]
    # How many in all, or for each combination that `each` names.
    images: Count
    each: tuple[Literal["platform", "generator"], ...] = ()
    # Take images of these platforms alone, and expect each of them.
    platforms: tuple[str, ...] | None = None
    # Take images of these generators alone, and expect each of them.
    generators: tuple[str, ...] | None = None


class SelectionSettings(Strict):
    """Which of the training images a run uses (`layerfusion.data.selection`)."""

    # shared: every run uses the same images of a source; author: the draws that the author's code
    # makes, others for each run.
    name: Literal["all", "shared", "author"] = "all"
    # Seed of the draws; not the run's seed.
    seed: int = Field(default=1337, ge=0, le=LARGEST_SEED)
    # Of a source that none names all images are used.
    quotas: tuple[QuotaSettings, ...] = ()

    @model_validator(mode="after")
    def _one_quota_a_class(self) -> "SelectionSettings":
        seen = set()
        for quota in self.quotas:
            if (quota.source, quota.label) in seen:
                raise ValueError(f"two quotas are for {quota.label} images of '{quota.source}'")
            seen.add((quota.source, quota.label))
        if self.name != "all" and not self.quotas:
            raise ValueError(f"'{self.name}' needs quotas; without any, use 'all'")
        return self


def family_of(source: str, families: Mapping[str, Sequence[str]]) -> str:
    """Return the family whose patterns a source's name matches; the name itself if of none."""
    of = (
        family
        for family, patterns in families.items()
        if any(fnmatchcase(source, pattern) for pattern in patterns)
    )
    return next(of, source)


class DataSettings(Strict):
    """Where images come from, how much of each file is read, and which images are used."""

    sources: list[Source]
    # CSV (image_id, label) that labels the test images by file name; relative to the data root, or
    # absolute.
    test_labels: str | None = None
    # Sources of one origin, by patterns of their names such as `shop_*`: intervals over other
    # sources take a family for one source. Left out where there is none, as it is no news to runs
    # that were made before it.
    families: dict[str, list[str]] = Field(
        default_factory=dict, exclude_if=lambda families: not families
    )
    # The sha256 of every file, for exact duplicates.
    hash_files: bool = True
    # Decode every file: finds corrupt ones and near duplicates; otherwise only empty files, and
    # JPEG and PNG files that are cut off, are found.
    decode_files: bool = True
    selection: SelectionSettings = SelectionSettings()


class RunSettings(Strict):
    """What one run (constrained, open) trains on."""

    # Values of the manifest's `source`.
    train_sources: list[str] = Field(min_length=1)


class Profile(Strict):
    """All settings of a family of runs; those of `profile_names` come with the package."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")
    # One paragraph, shown on the pages.
    about: str
    # What a reader must not mistake this for.
    notice: str | None = None
    encoder: EncoderSettings
    head: HeadSettings = HeadSettings()
    images: ImageSettings = ImageSettings()
    training: TrainingSettings = TrainingSettings()
    loader: LoaderSettings = LoaderSettings()
    compute: ComputeSettings = ComputeSettings()
    data: DataSettings
    runs: dict[str, RunSettings]

    def run(self, name: str) -> RunSettings:
        """Return the settings of the run called `name`.

        Raises
        ------
        UserError
            If the profile has no such run.
        """
        if name not in self.runs:
            raise UserError(
                f"profile '{self.name}' has no run '{name}'; it has {', '.join(sorted(self.runs))}"
            )
        return self.runs[name]

    def numerics(self, run: str) -> dict[str, Any]:
        """Return, as plain JSON values, the settings that a run's numbers depend on.

        Left out: the number of workers, what is kept in caches, how often to save, prose, where the
        data lie and how the training images were selected (a run's key has the hash of the images
        it uses).
        """
        chosen = self.model_dump(mode="json", include={"encoder", "head", "images", "training"})
        chosen["training"].pop("checkpoint_minutes")
        chosen["evaluation_batch_size"] = self.loader.evaluation_batch_size
        chosen["run"] = self.run(run).model_dump(mode="json")
        return chosen


def digest(value: object) -> str:
    """Return the sha256 of a JSON-serialisable value in canonical form, as 64 hex digits."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def profile_names() -> list[str]:
    """Return the names of the profiles that come with the package."""
    return sorted(path.stem for path in PROFILES.glob("*.yaml"))


def load_profile(name: str, overrides: Mapping[str, Any] | None = None) -> Profile:
    """Read and check a profile.

    Parameters
    ----------
    name
        One of `profile_names()`, or the path of a YAML file of the same form.
    overrides
        Settings to replace, by dotted name: ``{"training.epochs": 1}``.

    Raises
    ------
    UserError
        If there is no such profile, or a setting is unknown or out of range.
    """
    what = f"profile '{name}'"
    if name in profile_names():
        path = PROFILES / f"{name}.yaml"
    elif name.endswith((".yaml", ".yml")) and Path(name).is_file():
        path = Path(name)
    else:
        raise UserError(
            f"there is no {what}; use {', '.join(profile_names())} or the path of a YAML"
        )
    values = read_yaml(path, what)
    if not isinstance(values, dict):
        raise UserError(f"{what} must be a YAML mapping of settings")
    for key, value in (overrides or {}).items():
        _replace(values, key, value)
    return checked(Profile, _with_homes(values), what)


def parse_override(text: str) -> tuple[str, Any]:
    """Split ``training.epochs=1`` into its dotted name and its value, read as YAML.

    Raises
    ------
    UserError
        If there is no ``=`` in the text or the value is not YAML.
    """
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UserError(f"'{text}' is not of the form name=value, as in training.epochs=1")
    return key.strip(), parse_yaml(value, f"the value in '{text}'")


def _with_homes(value: Any) -> Any:
    """Return settings, nested as they are, with ``~`` at the beginning of a text replaced."""
    if isinstance(value, dict):
        return {key: _with_homes(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_with_homes(inner) for inner in value]
    return with_home(value) if isinstance(value, str) else value


def _replace(values: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    for parent in parents:
        inner = values.setdefault(parent, {})
        if not isinstance(inner, dict):
            raise UserError(f"setting '{dotted}': '{parent}' holds a value, not further settings")
        values = inner
    values[last] = value
