"""The fusion head against the paper's equation, written out."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from layerfusion.errors import UserError
from layerfusion.model.fusion import LayerFusion, as_fusion, blocks_read, build_head
from layerfusion.settings import HeadSettings


def test_parameter_count_of_the_paper():
    head = LayerFusion(blocks=24, width=1024)
    assert sum(p.numel() for p in head.parameters()) == 328_985


@settings(max_examples=25, deadline=None)
@given(sizes=st.tuples(*[st.integers(1, 7)] * 3), seed=st.integers(0, 99))
def test_fuse_is_the_weighted_sum_of_projected_tokens(sizes, seed):
    batch, blocks, width = sizes
    torch.manual_seed(seed)
    head = LayerFusion(blocks=blocks, width=width, projection_width=5).double()
    torch.nn.init.normal_(head.block_logits)
    h = torch.randn(batch, blocks, width, dtype=torch.float64)

    weight, bias = head.projection.weight, head.projection.bias
    exponentials = head.block_logits.exp()
    z = sum(
        exponentials[block] / exponentials.sum() * (h[:, block] @ weight.T + bias)
        for block in range(blocks)
    )
    torch.testing.assert_close(head.fuse(h), z)


def test_every_block_weighs_the_same_before_training():
    alpha = LayerFusion(blocks=12, width=8).block_weights()
    torch.testing.assert_close(alpha, torch.full((12,), 1 / 12))


def test_block_weights_follow_their_logits():
    head = LayerFusion(blocks=3, width=4)
    head.block_logits.data = torch.tensor([0.0, 2.0, -1.0])
    alpha = head.block_weights()
    assert alpha.sum().item() == pytest.approx(1)
    assert alpha[1] > alpha[0] > alpha[2] > 0


def test_logits_have_one_value_an_image_and_dropout_acts_in_training_only():
    torch.manual_seed(0)
    head, h = LayerFusion(blocks=3, width=4, dropout=0.5), torch.randn(6, 3, 4)
    head.eval()
    assert head(h).shape == (6,)
    torch.testing.assert_close(head(h), head(h))
    head.train()
    assert not torch.equal(head(h), head(h))


def test_weights_of_each_feature_fuse_each_feature_by_itself():
    torch.manual_seed(0)
    head = LayerFusion(blocks=3, width=4, projection_width=5, weights_per="feature").double()
    torch.nn.init.normal_(head.block_logits)
    h = torch.randn(2, 3, 4, dtype=torch.float64)
    projected, alpha = head.projection(h), head.block_logits.softmax(dim=0)
    z = torch.stack([(alpha[:, d] * projected[:, :, d]).sum(dim=1) for d in range(5)], dim=1)
    torch.testing.assert_close(head.fuse(h), z)
    torch.testing.assert_close(head.block_weights(), alpha.mean(dim=1))
    paper = LayerFusion(blocks=3, width=4, projection_width=5)
    count = [sum(p.numel() for p in one.parameters()) for one in (head, paper)]
    assert count[0] - count[1] == 3 * 5 - 3


def test_heads_of_other_blocks_start_with_the_same_weights():
    heads = []
    for chosen in (HeadSettings(), HeadSettings(reads=[2]), HeadSettings(weights_per="feature")):
        torch.manual_seed(4)
        heads.append(build_head(chosen, depth=3, width=4).state_dict())
    for name in heads[0].keys() - {"block_logits"}:
        assert all(torch.equal(heads[0][name], other[name]) for other in heads[1:])
    assert [tuple(head["block_logits"].shape) for head in heads] == [(3,), (1,), (3, 256)]


def test_a_head_reads_the_blocks_that_its_settings_name():
    assert blocks_read(HeadSettings(), 4) == [0, 1, 2, 3]
    assert blocks_read(HeadSettings(blocks="last"), 4) == [3]
    assert blocks_read(HeadSettings(reads=[2, 4]), 4) == [1, 3]
    with pytest.raises(UserError, match="names block 5, but the encoder has 4"):
        blocks_read(HeadSettings(reads=[1, 5]), 4)


def test_side_by_side_is_linear_in_all_normed_tokens():
    torch.manual_seed(0)
    head = build_head(HeadSettings(kind="tokens"), depth=3, width=5)
    h = torch.randn(4, 3, 5)
    normed = (h - h.mean(dim=2, keepdim=True)) / (
        h.var(dim=2, keepdim=True, correction=0) + 1e-5
    ).sqrt()
    expected = normed.reshape(4, 15) @ head.linear.weight[0] + head.linear.bias
    torch.testing.assert_close(head(h), expected)
    torch.testing.assert_close(head.contributions(h[0]).sum() + head.linear.bias[0], head(h)[0])
    lengths = head.linear.weight.view(3, 5).norm(dim=1)
    torch.testing.assert_close(head.block_weights(), lengths / lengths.sum())
    assert sum(p.numel() for p in head.parameters()) == 3 * 5 + 1


@pytest.mark.parametrize("settings", [{"blocks": "mean"}, {"weights_per": "feature"}])
def test_tokens_side_by_side_have_no_block_weights_to_choose(settings):
    with pytest.raises(ValueError, match="have no meaning with it"):
        HeadSettings(kind="tokens", **settings)


def test_pages_on_the_papers_head_refuse_another():
    with pytest.raises(UserError, match=r"leave head\.kind"):
        as_fusion(build_head(HeadSettings(kind="tokens"), depth=3, width=5))
