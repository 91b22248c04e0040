"""The modality adapter "fc" of NeMo's SALM, in torch, from the formulas of nemo/collections/asr/modules/conformer_encoder.py,
nemo/collections/asr/parts/submodules/conformer_modules.py and multi_head_attention.py: a linear layer, Conformer blocks with
relative attention and batch normalization, a linear layer. Parameters are called as ours."""
import torch
import torch.nn.functional as F
from torch import nn


class FeedForward(nn.Module):
    def __init__(self, width, dropout):
        super().__init__()
        self.linear1, self.linear2, self.dropout = nn.Linear(width, 4 * width), nn.Linear(4 * width, width), nn.Dropout(dropout)

    def forward(self, x):
        return self.linear2(self.dropout(F.silu(self.linear1(x))))


class Attention(nn.Module):
    """softmax(((q_i + u) k_j + (q_i + v) r(i - j)) / sqrt(size of a head)) v_j"""

    def __init__(self, width, heads, dropout):
        super().__init__()
        for name in "qkvo":
            setattr(self, name + "_proj", nn.Linear(width, width))
        self.relative_k_proj = nn.Linear(width, width, bias=False)
        self.bias_u, self.bias_v = (nn.Parameter(torch.empty(heads, width // heads)) for _ in range(2))
        self.heads, self.dropout = heads, nn.Dropout(dropout)

    def forward(self, x, padding):
        n, t, width = x.shape
        q, k, v = (layer(x).view(n, t, self.heads, -1) for layer in (self.q_proj, self.k_proj, self.v_proj))
        distances = torch.arange(t)[:, None] - torch.arange(t)
        relative = self.relative_k_proj(sinusoids(distances, width)).view(t, t, self.heads, -1)
        scores = torch.einsum("nihd,njhd->nhij", q + self.bias_u, k) + torch.einsum("nihd,ijhd->nhij", q + self.bias_v, relative)
        scores = (scores / q.shape[-1] ** 0.5).masked_fill(padding[:, None, None], torch.finfo(x.dtype).min)
        return self.o_proj(torch.einsum("nhij,njhd->nihd", self.dropout(scores.softmax(-1)), v).flatten(2))


class Convolution(nn.Module):
    """Padding is zero before the depthwise convolution; what comes out of it there counts in the batch's statistics."""

    def __init__(self, width, kernel):
        super().__init__()
        self.pointwise_conv1, self.pointwise_conv2 = nn.Conv1d(width, 2 * width, 1), nn.Conv1d(width, width, 1)
        self.depthwise_conv = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, x, padding):
        x = F.glu(self.pointwise_conv1(x.transpose(1, 2)), 1).masked_fill(padding[:, None], 0)
        x = self.pointwise_conv2(F.silu(self.norm(self.depthwise_conv(x))))
        return x.transpose(1, 2).contiguous()  # dropout draws in the order of memory


class Block(nn.Module):
    def __init__(self, width, heads, kernel, dropout, attention_dropout):
        super().__init__()
        self.feed_forward1, self.feed_forward2 = FeedForward(width, dropout), FeedForward(width, dropout)
        self.self_attn, self.conv = Attention(width, heads, attention_dropout), Convolution(width, kernel)
        for name in ("feed_forward1", "self_att", "conv", "feed_forward2", "out"):
            setattr(self, "norm_" + name, nn.LayerNorm(width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x, padding):
        x = x + 0.5 * self.dropout(self.feed_forward1(self.norm_feed_forward1(x)))
        x = x + self.dropout(self.self_attn(self.norm_self_att(x), padding))
        x = x + self.dropout(self.conv(self.norm_conv(x), padding))
        x = x + 0.5 * self.dropout(self.feed_forward2(self.norm_feed_forward2(x)))
        return self.norm_out(x)


class Adapter(nn.Module):
    def __init__(self, size_in, size_out, width, layers, heads, kernel, dropout=0.0, input_dropout=0.0, attention_dropout=0.0):
        super().__init__()
        self.in_proj, self.out_proj = nn.Linear(size_in, width), nn.Linear(width, size_out)
        self.layers = nn.ModuleList(Block(width, heads, kernel, dropout, attention_dropout) for _ in range(layers))
        self.dropout = nn.Dropout(input_dropout)

    def forward(self, parts):
        """parts [length, size_in] each, padded to one batch -> [sum of lengths, size_out]"""
        lengths = torch.tensor([len(part) for part in parts])
        x = nn.utils.rnn.pad_sequence(parts, batch_first=True)
        padding = torch.arange(x.shape[1]) >= lengths[:, None]
        x = self.dropout(self.in_proj(x) * self.in_proj.out_features ** 0.5)
        for layer in self.layers:
            x = layer(x, padding)
        return self.out_proj(x[~padding])


def sinusoids(distances, width):
    """Sine and cosine by turns: [..., width]"""
    angles = distances[..., None] * 10000.0 ** (-torch.arange(0, width, 2) / width)
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(-2)


def random_adapter(generator, *sizes, **dropouts):
    """With values that no zero or one hides."""
    adapter = Adapter(*sizes, **dropouts)
    for name, p in adapter.named_parameters():
        p.data = 0.5 * torch.randn(p.shape, generator=generator) * (p[0].numel() if p.dim() > 1 else 1) ** -0.5 + ("norm" in name and name.endswith("weight"))
    for name, buffer in adapter.named_buffers():
        if name.endswith("running_mean"):
            buffer.copy_(0.3 * torch.randn(buffer.shape, generator=generator))
        elif name.endswith("running_var"):
            buffer.copy_(0.5 + torch.rand(buffer.shape, generator=generator))
    return adapter


def tensors_of(adapter):
    return {name: value.clone() for name, value in adapter.state_dict().items() if not name.endswith("num_batches_tracked")}


def statistics_of(adapter):
    return {name: value for name, value in tensors_of(adapter).items() if "running" in name}
