// A connector maps an encoder's vectors to embeddings of the language model.
#pragma once
#include <antiphon/component/encoder.h>
#include <antiphon/component/kind.h>

namespace antiphon {

class Connector {
 public:
  virtual ~Connector() = default;
  // The counting contract, second half: how many embeddings come out for a part with this grid.
  // Error(config) if the connector cannot take the grid.
  virtual TokenGrid output_grid(const TokenGrid& input) const = 0;
  // The part that depends on the position of a vector (pooling, stacking, shuffling): features [n, grid.count(),
  // input_size] -> [n, output_grid(grid).count(), any width]. Default: unchanged.
  virtual at::Tensor arrange(const at::Tensor& features, const TokenGrid& grid) const;
  // The same for all parts of a batch together, whatever their grids, for operations that depend on the rest of the
  // batch in training (batch normalization): parts [grid.count(), input_size] each -> [output_grid(grid).count(), that
  // width] each. Default: arrange(), once for each grid.
  virtual std::vector<at::Tensor> arrange_all(const std::vector<at::Tensor>& parts,
                                              const std::vector<TokenGrid>& grids) const;
  // How many vectors it gives beside each embedding: the i-th is added to the hidden state at its place after the i-th
  // block of the language model (DecoderInput::added). They stand after the embedding: output_size, here and below, is
  // then (1 + taps()) times the language model's width.
  virtual int64_t taps() const { return 0; }
  // The part applied to each vector alone: rows [m, that width] -> [m, output_size]. The graph gives it all rows of a
  // batch at once, whatever grids they come from.
  virtual at::Tensor project(const at::Tensor& rows) = 0;
  // How the parts of one item (tiles of an image) are joined: how many embeddings an item yields whose parts come out
  // with these grids, and the embeddings of its parts, each [rows, columns, output_size], as one sequence
  // [item_tokens(), output_size]. Default: one part after the other.
  virtual int64_t item_tokens(const std::vector<TokenGrid>& parts, const Tiling& tiling) const;
  virtual at::Tensor assemble(const std::vector<at::Tensor>& parts, const Tiling& tiling) const;
  // The first two: [n, grid.count(), input_size] -> [n, output_grid(grid).count(), output_size].
  at::Tensor forward(const at::Tensor& features, const TokenGrid& grid);
  virtual Module& module() = 0;
};

// What the graph tells a connector when it builds it.
struct ConnectorShape {
  int64_t input_size = 0, output_size = 0;  // of the encoders' vectors, and of the language model's
};

template <>
struct KindOf<Connector> : Kind<ConnectorShape> {
  static constexpr const char* name = "connector";
};

}  // namespace antiphon
