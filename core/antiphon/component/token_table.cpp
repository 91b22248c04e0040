#include <antiphon/component/token_table.h>

#include <ATen/ATen.h>

#include <antiphon/base/error.h>
#include <antiphon/component/peft.h>

#include <utility>

namespace antiphon {
namespace {

[[noreturn]] void fail_to_divide(const std::string& key) {
  fail(ErrorKind::config, "a change of the embedding or of the head of this kind is not divided by " + key,
       "use " + key + " = 1, or leave the method out");
}

}  // namespace

void TableAdapter::keep_tokens(int64_t, int64_t, comm::Group&) { fail_to_divide("parallel.tensor"); }
void TableAdapter::keep(bool) { fail_to_divide("parallel.pipeline"); }

void TokenTable::keep_tokens(int64_t begin, int64_t size, comm::Group& group) {
  first_token_ = begin;
  for (const auto& adapter : adapters) adapter->keep_tokens(begin, size, group);
}

void TokenTable::keep(bool all) {
  for (const auto& adapter : adapters) adapter->keep(all);
}

Parameter TokenTable::as_parameter(std::string name) const {
  return {.name = std::move(name),
          .tensor = weight,
          .role = Role::embedding,
          .box = Box{{tokens, width}, {first_token_, 0}}};
}

at::Tensor TokenTable::rows_before(size_t count, const at::Tensor& ids_n) const {
  auto x = rows_(ids_n);
  for (size_t i = 0; i < count; ++i)
    if (AdapterScope::active(adapters[i]->set)) x = adapters[i]->read(ids_n, x);
  return x;
}

at::Tensor TokenTable::rows_below(const TableAdapter& adapter, const at::Tensor& ids_n) const {
  size_t count = 0;
  while (adapters.at(count).get() != &adapter) ++count;
  return rows_before(count, ids_n);
}

namespace {

void append(at::Tensor& all, const at::Tensor& more, int64_t dimension) {
  if (more.defined()) all = all.defined() ? at::cat({all, more}, dimension) : more;
}

}  // namespace

at::Tensor AddedProducts::with_columns(const at::Tensor& products_nv) const {
  if (!columns_nk.defined()) return products_nv;
  return products_nv.index_add(1, ids_k, columns_nk.to(products_nv.scalar_type()));
}

AddedProducts TokenTable::added(const at::Tensor& hidden_nd) const {
  AddedProducts all;
  for (size_t i = 0; i < adapters.size(); ++i) {
    if (!AdapterScope::active(adapters[i]->set)) continue;
    const auto added = adapters[i]->written(hidden_nd, [&](const at::Tensor& ids_n) { return rows_before(i, ids_n); });
    append(all.inner_nr, added.inner_nr, 1), append(all.outer_vr, added.outer_vr, 1);
    append(all.columns_nk, added.columns_nk, 1), append(all.ids_k, added.ids_k, 0);
  }
  return all;
}

}  // namespace antiphon
