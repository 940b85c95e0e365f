"""Know what is true of the frames that questions see, for many questions at once and where the model is.

The same truth as `questions.truth`, which is slower and says it in words; a test holds the two together.
"""

from __future__ import annotations

import torch
from torch.nn import functional as F

from .words import COLOURS, KINDS, NO, NONE, NUMBER_OF, NUMBERS, PLACES, SHAPES, YES

MOST = len(SHAPES) * len(COLOURS)


def _words(words: tuple[str, ...], device: torch.device) -> torch.Tensor:
    return torch.tensor([NUMBER_OF[word] for word in words], device=device)


def _there(index_NM: torch.Tensor, hit_NM: torch.Tensor, size: int) -> torch.Tensor:
    """Return which of `size` indices are hit, (N, size)."""
    told = torch.zeros(len(index_NM), size + 1, dtype=torch.bool, device=index_NM.device)
    return told.scatter(1, torch.where(hit_NM, index_NM, size), value=True)[:, :size]


def truths(
    kind_N: torch.Tensor, about_NT: torch.Tensor, others_NT: torch.Tensor, thing_NKS: torch.Tensor, cell_NKS: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the token of each answer, (N,), and whether it is plain, (N,).

    `thing_NKS` are the frames that a question sees in the order of time, the newest last; a frame of nothing but
    -1 stands for none.
    """
    device, (count, frames, slots) = thing_NKS.device, thing_NKS.shape
    thing, cell = thing_NKS.flatten(1).long(), cell_NKS.flatten(1).long()
    present = thing >= 0
    newest = torch.zeros(frames, slots, dtype=torch.bool, device=device)
    newest[-1] = True
    now = torch.tensor([kind.endswith(" now") for kind in KINDS], device=device)[kind_N]
    every = present & about_NT.gather(1, thing.clamp(min=0))
    there_now = every & newest.flatten()
    hit = torch.where(now[:, None], there_now, every)
    theirs = present & others_NT.gather(1, thing.clamp(min=0))
    yes, no, none = (NUMBER_OF[word] for word in (YES, NO, NONE))
    any_hit = hit.any(1)

    def only(index_NM: torch.Tensor, words: tuple[str, ...]) -> tuple[torch.Tensor, torch.Tensor]:
        told = _there(index_NM, hit, len(words))
        said = _words(words, device)[told.float().argmax(1)]
        return torch.where(told.any(1), said, none), told.sum(1) <= 1

    def number(several: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        most = len(NUMBERS) - 1
        return _words(NUMBERS, device)[several.clamp(max=most)], several <= most

    def first(hit_NM: torch.Tensor) -> torch.Tensor:
        shown = hit_NM.unflatten(1, (frames, slots)).any(2)
        return torch.where(shown.any(1), shown.float().argmax(1), frames)

    def shape(things_NT: torch.Tensor) -> torch.Tensor:
        return _words(SHAPES, device)[things_NT.float().argmax(1) // len(COLOURS)]

    ours_at, theirs_at = first(every), first(theirs)
    always = torch.ones(count, dtype=torch.bool, device=device)
    colour, place = only(thing % len(COLOURS), COLOURS), only(cell, PLACES)
    kinds = only(thing.clamp(min=0) // len(COLOURS), SHAPES)
    was = torch.where(any_hit, yes, no), always
    left = torch.where(any_hit, torch.where(there_now.any(1), no, yes), none), always
    order = (
        torch.where(ours_at < theirs_at, shape(about_NT), shape(others_NT)),
        (ours_at != theirs_at) & (ours_at < frames) & (theirs_at < frames),
    )
    answers = {
        "colour now": colour, "place now": place, "shape now": kinds, "there now": was,
        "count now": number((present & newest.flatten()).sum(1)), "colour": colour, "place": place, "shape": kinds,
        "appear": was, "count": number(_there(thing.clamp(min=0), hit, MOST).sum(1)), "order": order, "leave": left,
    }  # fmt: skip
    picked = F.one_hot(kind_N.long(), len(KINDS)).bool()
    said = torch.stack([answers[kind][0] for kind in KINDS], 1)
    plain = torch.stack([answers[kind][1] for kind in KINDS], 1)
    return said[picked], plain[picked]
