// The tables [tokens, width] by which a language model reads and writes tokens, its embedding and its head: the places
// where methods of fine-tuning change these.
#pragma once
#include <ATen/core/Tensor.h>
#include <antiphon/component/module.h>

#include <functional>
#include <memory>
#include <vector>

namespace antiphon {

namespace comm {
class Group;
}

// What is added to hidden · tableᵀ: inner · outerᵀ, and to the columns of some tokens numbers of their own; in the
// dtype of the hidden states. Undefined: nothing.
struct AddedProducts {
  at::Tensor inner_nr, outer_vr;           // [n, rank], [tokens, rank]
  at::Tensor columns_nk = {}, ids_k = {};  // [n, k], and of which tokens [k] int64
  bool any() const { return inner_nr.defined() || columns_nk.defined(); }
  // Products [n, tokens] with the columns; differentiable.
  at::Tensor with_columns(const at::Tensor& products_nv) const;
};

// A change of a table.
class TableAdapter {
 public:
  // ids [n] int64 -> the rows [n, width] of the table that it changes.
  using Rows = std::function<at::Tensor(const at::Tensor& ids_n)>;
  virtual ~TableAdapter() = default;
  // What the rows x [n, width] of tokens ids [n] become, in their dtype; differentiable.
  virtual at::Tensor read(const at::Tensor& ids_n, const at::Tensor& x_nd) = 0;
  // What products of hidden states [n, width] with the table get; differentiable.
  virtual AddedProducts written(const at::Tensor& hidden_nd, const Rows& rows) = 0;
  // The table with the change, float32, from that without it.
  virtual at::Tensor merged(const at::Tensor& table_vd) const = 0;
  // For a table that the processes of a group share: the change of this process's tokens [begin, begin + size). From
  // then on it is given these alone, counted from 0 on, and gives products with them. The gradient of a parameter that
  // all have is the sum over the group. Before its parameters have values; for each table that it changes. Default:
  // Error(config).
  virtual void keep_tokens(int64_t begin, int64_t size, comm::Group& group);
  // For a table that some processes have and others do not: Module::keep(), for each table. Default: Error(config).
  virtual void keep(bool all);
  int set = 0;  // which of a model's methods it belongs to; see AdapterScope
};

class TokenTable {
 public:
  // `rows` looks up the table as it is stored, from this process's first token on; `tied`: the embedding and the head
  // are one.
  TokenTable(TableAdapter::Rows rows, int64_t tokens, int64_t width, bool is_head, bool tied)
      : tokens(tokens), width(width), is_head(is_head), tied(tied), rows_(std::move(rows)) {}
  TokenTable(const TokenTable&) = delete;
  // Rows of ids [n] with the adapters in use, and those that the adapter of this table changes.
  at::Tensor rows(const at::Tensor& ids_n) const { return rows_before(adapters.size(), ids_n); }
  at::Tensor rows_below(const TableAdapter& adapter, const at::Tensor& ids_n) const;
  // What the adapters in use add to the products of hidden states [n, width].
  AddedProducts added(const at::Tensor& hidden_nd) const;
  // Whether what a model reads depends on a change of it, so that gradients go back through all blocks.
  bool learns_to_read() const { return !is_head && !adapters.empty(); }
  // Of processes that share it: as TableAdapter::keep_tokens() and keep() of each adapter.
  void keep_tokens(int64_t begin, int64_t size, comm::Group& group);
  void keep(bool all);
  // The table itself under a name: what this process has of it, as a part of the whole.
  Parameter as_parameter(std::string name) const;

  const int64_t tokens, width;  // of the whole
  const bool is_head, tied;
  at::Tensor* weight = nullptr;                         // its own, or that of the embedding
  std::vector<std::shared_ptr<TableAdapter>> adapters;  // each changes what those before it made

 private:
  at::Tensor rows_before(size_t count, const at::Tensor& ids_n) const;
  TableAdapter::Rows rows_;
  int64_t first_token_ = 0;
};

}  // namespace antiphon
