"""BT.601 in one place and three: the same matrices, inverse to each other, and what Pillow means by grey."""

import numpy as np
import torch
from PIL import Image

from edge_scs import color
from edge_scs.models import colour, heads
from edge_scs.models.colour import LumaChroma


def image(photograph: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(photograph[::4, ::4].copy()).permute(2, 0, 1)[None].float() / 255


def test_the_network_and_the_product_share_their_matrices() -> None:
    assert heads.YCC_TO_RGB == color.YCC_TO_RGB
    assert colour.RGB_TO_YCC == color.RGB_TO_YCC


def test_matrices_are_inverse() -> None:
    product = torch.tensor(color.YCC_TO_RGB, dtype=torch.float64) @ torch.tensor(color.RGB_TO_YCC, dtype=torch.float64)
    torch.testing.assert_close(product, torch.eye(3, dtype=torch.float64), rtol=0, atol=1e-5)


def test_there_and_back_is_the_image(photograph: np.ndarray) -> None:
    rgb = image(photograph)
    torch.testing.assert_close(color.ycc_to_rgb(color.rgb_to_ycc(rgb)), rgb, rtol=0, atol=1e-5)


def test_luma_is_pillow_s_grey(photograph: np.ndarray) -> None:
    pillow = np.asarray(Image.fromarray(photograph).convert("L"), dtype=np.float32)
    ours = color.luma(torch.from_numpy(photograph.copy()).permute(2, 0, 1).float())[0].numpy()
    assert np.abs(ours - pillow).max() <= 0.5 + 1e-2


def test_chroma_is_pillow_s_ycbcr(photograph: np.ndarray) -> None:
    pillow = np.asarray(Image.fromarray(photograph).convert("YCbCr"), dtype=np.float32)
    ours = color.rgb_to_ycc(torch.from_numpy(photograph.copy()).permute(2, 0, 1).float()).permute(1, 2, 0).numpy()
    assert np.abs(ours + np.array([0, 128, 128]) - pillow).max() <= 1 + 1e-2


def test_white_and_primaries_reach_the_ends_of_the_ranges() -> None:
    corners = torch.tensor([[1, 1, 1], [0, 0, 0], [0, 0, 1], [1, 0, 0]], dtype=torch.float64).T[:, None]
    ycc = color.rgb_to_ycc(corners)[:, 0].T
    expected = torch.tensor([[1, 0, 0], [0, 0, 0], [0.114, 0.5, -0.081312], [0.299, -0.168736, 0.5]])
    torch.testing.assert_close(ycc, expected.double(), rtol=0, atol=1e-6)


def test_the_network_s_luma_chroma_agrees(photograph: np.ndarray) -> None:
    rgb = image(photograph)
    torch.testing.assert_close(torch.cat(LumaChroma()(rgb), 1), color.rgb_to_ycc(rgb), rtol=0, atol=2e-6)


def test_any_leading_shape_works() -> None:
    rgb = torch.rand(2, 5, 3, 4, 6)
    assert torch.equal(color.rgb_to_ycc(rgb)[1, 2], color.rgb_to_ycc(rgb[1, 2]))
    assert color.luma(rgb).shape == (2, 5, 1, 4, 6)
    assert torch.equal(color.luma(rgb), color.rgb_to_ycc(rgb)[:, :, :1])
