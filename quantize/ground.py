"""The slow background of a moving camera, kept where the ground lies: the device's `edge.ground` for a batch of clips.

Drawn anew from step to step, a background would blur; here only its change is drawn, onto a canvas that is larger than
the view by a margin and follows it in whole px. Ground that has come into view begins with the present frame, and then
grows as fast as a running mean would. No gradient goes through it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from quantize.warp import outside, shares

MARGIN = 16  # px around the view
ASTRAY = 8.0  # px that the middle of the view may be off the canvas', and a corner twice that
BACKGROUND_S = 6.0  # age from which on a background is no running mean any more
FADING = 3.0  # times faster a ghost fades than in a view that stands, as on the device
KNOWN = 0.999  # what interpolation leaves of a 1 among 1s


@dataclass(frozen=True)
class Ground:
    """Backgrounds of N clips after some step."""

    canvas: Tensor  # (N, 3, H + 2 MARGIN, W + 2 MARGIN): background 0..1, age in s, and 1 where both are known
    view: Tensor  # (N, 3, 3) px of the present view -> px of the canvas without its margin

    @classmethod
    def under(cls, background: Tensor, age: Tensor) -> Ground:
        """Of backgrounds (N, 1, H, W) that are as old as the clips (N,), s."""
        old = age.clamp(max=BACKGROUND_S).reshape(-1, 1, 1, 1).expand_as(background)
        planes = torch.cat((background, old, torch.ones_like(background)), dim=1)
        still = torch.eye(3, device=background.device).expand(len(background), 3, 3)
        return cls(F.pad(planes, (MARGIN,) * 4), still)

    def moved(self, step: Tensor) -> Ground:
        """The camera has moved on by `step` (N, 2, 3), px of the new view -> px of the last one."""
        last = step.new_tensor((0.0, 0.0, 1.0)).expand(len(step), 1, 3)
        return replace(self, view=self.view @ torch.cat((step, last), dim=1))

    def read(self, frame: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 1, H, W) background as the present view shows it, `frame` where there is none; and its age there, s."""
        seen, within = drawn(self.canvas, shifted(self.view, MARGIN), frame.shape[-2:])
        known = within & (seen[:, 2:] > KNOWN)
        return torch.where(known, seen[:, :1], frame), torch.where(known, seen[:, 1:2], 0.0)

    def write(self, frame: Tensor, change: Tensor, young: Tensor, logits: Tensor, clock: Tensor) -> Ground:
        """Take in by how much the network has changed the background that `read` gave, `young` as that said; new ground
        begins with the frame. Gas is let in slowly."""
        step, age = (clock[:, i].reshape(-1, 1, 1, 1) for i in (0, 1))
        gas = F.interpolate((2.0 * torch.sigmoid(logits)).clamp(max=1.0), size=frame.shape[-2:], mode="nearest")
        faster = (age.clamp(max=BACKGROUND_S) + step) / (young + step + 1e-6)
        change = change * (FADING + (faster - FADING) * (1 - gas))
        size = self.canvas.shape[-2:]
        lifted, seen = drawn(torch.cat((change, frame), dim=1), torch.linalg.inv(shifted(self.view, MARGIN)), size)
        background, old, known = self.canvas.split(1, dim=1)
        new = seen & (known < 0.5)
        background = torch.where(new, lifted[:, 1:], background + torch.where(seen, lifted[:, :1], 0.0))
        old = torch.where(new, 0.0, torch.where(seen, old + step, old)).clamp(max=BACKGROUND_S)
        canvas = torch.cat((background, old, torch.where(seen, 1.0, known)), dim=1)
        return replace(self, canvas=canvas).following(frame.shape[-2:])

    def following(self, size: torch.Size) -> Ground:
        """The canvas below the view again: scrolled, or drawn anew where the view has turned or zoomed away."""
        height, width = size
        corners = self.view.new_tensor([(x, y, 1) for x in (0, width - 1) for y in (0, height - 1)]).T
        away = (self.view @ corners - corners)[:, :2]
        middle = away.mean(dim=2).round()  # of an affine view
        far = middle.abs().amax(dim=1) > ASTRAY
        rest = (away - torch.where(far[:, None], middle, 0.0)[..., None]).norm(dim=1).amax(dim=1)
        if not far.any() and not (rest > 2 * ASTRAY).any():
            return self
        canvas, view = self.canvas.clone(), self.view.clone()
        for n in range(len(view)):
            if rest[n] > 2 * ASTRAY:
                whole = shifted(view[n : n + 1], MARGIN) @ shifted(torch.eye(3).to(view)[None], -MARGIN)
                seen, within = drawn(canvas[n : n + 1], whole, canvas.shape[-2:])
                within &= seen[:, 2:] > KNOWN
                canvas[n], view[n] = torch.where(within, seen, 0.0)[0], torch.eye(3)
            elif far[n]:
                right, down = (int(part) for part in middle[n])
                canvas[n] = F.pad(canvas[n], (-right, right, -down, down))
                view[n, :2, 2] -= middle[n]
        return replace(self, canvas=canvas, view=view)


def shifted(view: Tensor, px: float) -> Tensor:
    """The same views, to px of a picture whose corner is so much further out."""
    onto = torch.eye(3, device=view.device)
    onto[:2, 2] = px
    return onto @ view


def drawn(planes: Tensor, transform: Tensor, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Planes (N, C, h, w) through transforms (N, 3, 3), px of the result (H, W) -> px of the planes, and where they
    reach (N, 1, H, W)."""
    whole = shares(*planes.shape[-2:], like=transform) @ transform @ torch.linalg.inv(shares(*size, like=transform))
    grid = F.affine_grid(whole[:, :2], [len(planes), planes.shape[1], *size], align_corners=False)
    seen = F.grid_sample(planes, grid, mode="bilinear", padding_mode="border", align_corners=False)
    return seen, ~outside(grid, *planes.shape[-2:])
