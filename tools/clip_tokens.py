"""Words to numbers for the text tower of `clip-nano`: one token a word of the captions."""

from collections.abc import Sequence

import torch
from torch import Tensor

from layerfusion.demo.scenes import WORDS
from layerfusion.errors import UserError

# 0 pads. The end is the largest number: OpenCLIP reads a caption's feature where it stands.
_IDS = {word: index for index, word in enumerate(WORDS, start=1)}
START, END = len(WORDS) + 1, len(WORDS) + 2
VOCABULARY_SIZE = len(WORDS) + 3
CONTEXT_LENGTH = 24


def tokenize(captions: Sequence[str]) -> Tensor:
    """Return captions as token numbers, int64 (n, 24): start, words, end, zeros.

    Raises
    ------
    UserError
        If a caption has a word that is not in the vocabulary, or too many words.
    """
    tokens = torch.zeros(len(captions), CONTEXT_LENGTH, dtype=torch.long)
    for row, caption in enumerate(captions):
        words = caption.split()
        unknown = [word for word in words if word not in _IDS]
        if unknown:
            raise UserError(f"'{unknown[0]}' is not a word of the demo's captions: '{caption}'")
        if len(words) > CONTEXT_LENGTH - 2:
            raise UserError(f"a caption has at most {CONTEXT_LENGTH - 2} words: '{caption}'")
        numbers = [START, *(_IDS[word] for word in words), END]
        tokens[row, : len(numbers)] = torch.tensor(numbers)
    return tokens
