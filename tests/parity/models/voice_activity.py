"""silero against the same network in torch: probabilities over several windows, and all gradients."""
import json

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import nn

from .common import named_gradients, starting


class Reference(nn.Module):
    """As silero_vad/tinygrad_model.py of the silero-vad package describes it."""

    def __init__(self):
        super().__init__()
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1, self.conv2 = nn.Conv1d(129, 128, 3, padding=1), nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3, self.conv4 = nn.Conv1d(64, 64, 3, stride=2, padding=1), nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x, state):
        real, imaginary = self.stft_conv(F.pad(x, (0, 64), "reflect").unsqueeze(1)).split(129, 1)
        y = (real ** 2 + imaginary ** 2).sqrt()
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            y = conv(y).relu()
        state = self.lstm_cell(y.squeeze(-1), state)
        return self.final_conv(state[0].relu().unsqueeze(-1)).sigmoid().flatten(), state


def run(bench):
    torch.manual_seed(51)
    model, folder = Reference(), bench.new_folder()
    save_file(model.state_dict(), folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "silero_vad"}))
    x = (0.2 * torch.randn(5, 3, 576)).requires_grad_(True)  # [window, sound, samples]
    state, expected = None, []
    for window in x:
        y, state = model(window, state)
        expected.append(y)
    expected = torch.stack(expected)
    grad = torch.randn(expected.shape)
    expected.backward(grad)
    _, out = bench.ask("voice_activity", {"x": x, "grad": grad}, plugin="silero", weights=folder)
    bench.compare("silero five windows of three sounds, and gradients", {"y": out["y"], "x": out["grad_x"], **starting(out, "grad:")},
                  {"y": expected, "x": x.grad, **named_gradients(model)}, gradients=["x", *named_gradients(model)])
