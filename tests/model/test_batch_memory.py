"""What frozen blocks give, kept in memory: the same bits, up to a limit, never mixed up."""

import torch

from layerfusion.model.batch_memory import BatchMemory
from layerfusion.model.detector import Detector
from layerfusion.settings import load_profile


def test_a_batch_is_computed_once_and_memory_has_a_limit(tiny_settings):
    profile = load_profile("demo", tiny_settings)
    plain = Detector.build(profile.encoder, profile.head, profile.images, seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    first, second = torch.randint(0, 256, (2, 3, 3, 48, 48), dtype=torch.uint8, generator=generator)
    with torch.inference_mode():
        expected = [plain(images) for images in (first, second)]
        size = sum(part.numel() * 4 for part in plain.frozen_tokens(first))
        memory = plain.prefix_cache = BatchMemory(limit=size)
        for found in (0, 3):
            assert torch.equal(plain(first), expected[0]) and memory.found == found
        for _ in range(2):  # there is no room for it
            assert torch.equal(plain(second), expected[1]) and memory.found == 3
        # Other pixels, another shape and other weights are other batches.
        assert plain(first[:2]).shape == (2,) and memory.found == 3
        other = Detector.build(profile.encoder, profile.head, profile.images, seed=1).eval()
        with torch.no_grad():
            other.encoder.visual.conv1.weight += 1
        other.prefix_cache = memory
        other(first)
        assert memory.found == 3
