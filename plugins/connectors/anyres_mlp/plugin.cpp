// The projector of LLaVA-NeXT (Liu et al. 2024; transformers: models/llava_next/modeling_llava_next.py): an MLP, and
// images in tiles: the whole image, then its tiles as one large grid without the rows or columns that are padding, with
// a learned "newline" after each row.
#include <ATen/ATen.h>
#include <fmt/format.h>

#include <antiphon/component/connector.h>
#include <antiphon/component/register.h>
#include <antiphon/nn/activation.h>
#include <antiphon/nn/blocks/mlp.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/plugin/manifest.h>

#include <cmath>

namespace antiphon::anyres_mlp {

struct AnyresMlpOptions {
  int64_t depth = 2, hidden_size = 0;
  std::string activation = "gelu";
};

const config::Table<AnyresMlpOptions>& anyres_mlp_table() {
  using O = AnyresMlpOptions;
  static const auto* table = new config::Table<O>(
      config::Table<O>("anyres_mlp")
          .field("depth", &O::depth, "linear layers", {.min = 1, .max = 16})
          .field("hidden_size", &O::hidden_size, "width between them; 0: the language model's", {.min = 0})
          .field("activation", &O::activation, "between the layers", {.choices = nn::activation_names()}));
  return *table;
}

// The rows and columns of the tiles' grid that show the image.
struct Shown {
  int64_t top = 0, left = 0, rows = 0, columns = 0;
};

Shown shown(const TokenGrid& tile, const Tiling& tiling) {
  Shown all{0, 0, tile.rows * tiling.rows, tile.columns * tiling.columns};
  const auto height = static_cast<double>(tiling.height), width = static_cast<double>(tiling.width);
  const auto rows = static_cast<double>(all.rows), columns = static_cast<double>(all.columns);
  auto scaled = [](double size, double scale) {
    return static_cast<int64_t>(std::nearbyint(size * scale * 1e7) / 1e7);  // as Python's round(x, 7), then int
  };
  if (width / height > columns / rows) {
    all.top = (all.rows - scaled(height, columns / width)) / 2;
    all.rows -= 2 * all.top;
  } else {
    all.left = (all.columns - scaled(width, rows / height)) / 2;
    all.columns -= 2 * all.left;
  }
  return all;
}

// Parameters: layers.N, newline.
class AnyresMlp : public Connector, private Module {
 public:
  AnyresMlp(const AnyresMlpOptions& options, ConnectorShape shape)
      : mlp_(shape.input_size, options.hidden_size ? options.hidden_size : shape.output_size, shape.output_size,
             options.depth, options.activation) {
    add("layers", mlp_);
    add("newline", newline_, {shape.output_size}, Init::normal_002, Role::vector);
  }

  TokenGrid output_grid(const TokenGrid& input) const override { return input; }
  at::Tensor project(const at::Tensor& rows) override { return mlp_.forward(rows); }

  // Without tiles one newline follows the image.
  int64_t item_tokens(const std::vector<TokenGrid>& parts, const Tiling& tiling) const override {
    check(parts, tiling);
    if (tiling.rows == 0) return parts.front().count() + 1;
    const auto picture = shown(parts[1], tiling);
    return parts.front().count() + picture.rows * (picture.columns + 1);
  }

  at::Tensor assemble(const std::vector<at::Tensor>& parts, const Tiling& tiling) const override {
    const auto whole = parts.front().flatten(0, 1);
    const auto newline = nn::like(newline_, whole);
    if (tiling.rows == 0) return at::cat({whole, newline.unsqueeze(0)});
    const TokenGrid tile{parts[1].size(0), parts[1].size(1)};
    const auto all = at::stack(std::vector<at::Tensor>(parts.begin() + 1, parts.end()))
                         .view({tiling.rows, tiling.columns, tile.rows, tile.columns, -1})
                         .transpose(1, 2)
                         .reshape({tiling.rows * tile.rows, tiling.columns * tile.columns, -1});
    const auto picture = shown(tile, tiling);
    const auto rows = all.narrow(0, picture.top, picture.rows).narrow(1, picture.left, picture.columns);
    const auto ends = newline.view({1, 1, -1}).expand({picture.rows, 1, -1});
    return at::cat({whole, at::cat({rows, ends}, 1).flatten(0, 1)});
  }

  Module& module() override { return *this; }

 private:
  static void check(const std::vector<TokenGrid>& parts, const Tiling& tiling) {
    const int64_t expected = 1 + tiling.rows * tiling.columns, got = static_cast<int64_t>(parts.size());
    bool alike = true;
    for (const auto& part : parts) alike = alike && part == parts.back();
    if (got != expected || !alike)
      fail(ErrorKind::config,
           fmt::format("anyres_mlp: expected {} parts of one size for a picture in {} x {} tiles, got {}{}", expected,
                       tiling.rows, tiling.columns, got, alike ? "" : " of several sizes"),
           "its encoder must give one part, or the whole picture and its tiles (tile_resolutions)");
  }
  nn::Mlp mlp_;
  at::Tensor newline_;
};

}  // namespace antiphon::anyres_mlp

ANTIPHON_PLUGIN(anyres_mlp, "0.1.0") {
  using namespace antiphon::anyres_mlp;
  antiphon::register_component<antiphon::Connector, AnyresMlp>(
      registrar, "anyres_mlp", "MLP for pictures in tiles, with newlines (LLaVA-NeXT)", anyres_mlp_table());
}
