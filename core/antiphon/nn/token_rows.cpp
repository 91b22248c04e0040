#include <antiphon/nn/token_rows.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/strings.h>
#include <antiphon/component/adapter_file.h>
#include <antiphon/nn/deferred_gradients.h>
#include <antiphon/nn/linear/linear.h>
#include <antiphon/nn/rows_of_part.h>

namespace antiphon::nn {
namespace {

constexpr int64_t kMostListed = 8;

// Whether PEFT means the table by this name, or a part of a model has a shorter one.
bool is_named(const std::string& path, const std::string& name) { return ends_in(path, name) || ends_in(name, path); }

std::vector<int64_t> ids_of(const std::string& where, const config::Value& value, const Site& site) {
  std::vector<int64_t> ids;
  const auto* list = value.get_if<config::Value::Array>();
  if (!list || list->empty())
    fail(ErrorKind::config, fmt::format("{}: expected a list of ids of tokens, got {}", where, value.type_name()),
         "name them as in [32000, 32001]");
  for (const auto& item : *list) {
    const auto* id = item.get_if<int64_t>();
    if (!id || *id < 0 || *id >= site.table->tokens)
      fail(
          ErrorKind::config, fmt::format("{}: {} is not a token of {}", where, config::to_json(item), site.path),
          fmt::format("its ids are 0 to {}; of tokens that were added, take a directory of the model whose tables have "
                      "them, as resize_token_embeddings() and save_pretrained() write it",
                      site.table->tokens - 1));
    if (std::ranges::count(ids, *id) > 0)
      fail(ErrorKind::config, fmt::format("{}: {} is there twice", where, *id), "name it once");
    ids.push_back(*id);
  }
  return ids;
}

const Site& table_called(const std::string& where, const std::string& name, const std::vector<Site>& tables) {
  const auto found = std::ranges::find_if(tables, [&](const Site& site) { return is_named(site.path, name); });
  if (found == tables.end())
    fail(ErrorKind::config, fmt::format("{}: the part has no table of tokens '{}'", where, name),
         tables.empty() ? "leave it out: the part is not a language model that reads and writes"
                        : fmt::format("name {} or {}", tables.front().path, tables.back().path));
  return *found;
}

std::vector<Site> those(const std::vector<Site>& tables, bool heads) {
  std::vector<Site> found;
  for (const auto& site : tables)
    if (site.table->is_head == heads) found.push_back(site);
  return found;
}

}  // namespace

TokenRows::TokenRows(const std::string& name, const std::vector<int64_t>& ids, int64_t tokens, int64_t width)
    : numbers_{at::tensor(ids, at::kLong), {}}, own_{0, tokens} {
  const int64_t count = numbers_.ids_k.size(0);
  numbers_.place_v = at::full({tokens}, count, at::kLong).index_copy_(0, numbers_.ids_k, at::arange(count));
  // The name says which tokens: rows of others, in a checkpoint of a run that trained those, are never taken for these.
  const auto listed = fmt::format("{}", fmt::join(ids, ","));
  add(name + kOursBehind + (count > kMostListed ? content_hash(listed) : listed), rows_kd_, {count, width}, Init::zeros,
      Role::embedding);
}

// Of the whole table's numbers, so that it may be said more than once.
void TokenRows::keep_tokens(int64_t begin, int64_t size, comm::Group& group) {
  own_ = {begin, size}, group_ = &group;
  const auto ids_k = numbers_.ids_k - begin;
  numbers_.own_m = ids_k.ge(0).logical_and(ids_k.lt(size)).nonzero().squeeze(1);
  numbers_.own_ids_m = ids_k.index_select(0, numbers_.own_m);
}

// Copied once: from the host in each pass, a device would wait, and could not record what it does.
const TokenRows::Numbers& TokenRows::numbers_on(at::Device device) {
  if (used_.ids_k.defined() && used_.ids_k.device() == device) return used_;
  const c10::InferenceMode kept_for_training(false);
  used_ = {numbers_.ids_k.to(device), numbers_.place_v.narrow(0, own_.begin, own_.size).to(device)};
  if (group_) used_.own_m = numbers_.own_m.to(device), used_.own_ids_m = numbers_.own_ids_m.to(device);
  return used_;
}

// What the table has in their places: zeros for those that others have.
at::Tensor TokenRows::below(const Rows& rows, const at::Tensor& ids_k) const {
  return (group_ ? rows_of_part(ids_k, own_, rows) : rows(ids_k)).to(rows_kd_.scalar_type());
}

void TokenRows::start(const TokenTable& table) {
  if (rows_kd_.numel() == 0) return;  // another stage has them
  c10::AutoGradMode no_grad(false);
  const auto x_kd = below([&](const at::Tensor& ids_n) { return table.rows_below(*this, ids_n); },
                          numbers_.ids_k.to(rows_kd_.device()))
                        .to(at::kFloat);  // as processes add up
  if (group_) group_->sum(x_kd);
  rows_kd_.copy_(x_kd);
}

at::Tensor TokenRows::read(const at::Tensor& ids_n, const at::Tensor& x_nd) {
  const int64_t count = rows_kd_.size(0);
  const auto place_n = numbers_on(ids_n.device()).place_v.index_select(0, ids_n);
  // Of a row for all other tokens, which gets no gradient.
  const auto rows = at::cat({rows_kd_, at::zeros({1, rows_kd_.size(1)}, rows_kd_.options())});
  return at::where(place_n.lt(count).unsqueeze(1), like(at::embedding(rows, place_n, count), x_nd), x_nd);
}

// Other rows in their places add the differences to the products of these tokens.
AddedProducts TokenRows::written(const at::Tensor& hidden_nd, const Rows& rows) {
  const auto& numbers = numbers_on(hidden_nd.device());
  const auto change = rows_kd_ - below(rows, numbers.ids_k);
  const DeferredGradients::Scope at_once(nullptr);  // the change is this pass's, and goes with its graph
  const auto columns_nk = nn::linear(hidden_nd, like(change, hidden_nd), {});
  if (!group_) return {{}, {}, columns_nk, numbers.ids_k};
  return {{}, {}, columns_nk.index_select(1, numbers.own_m), numbers.own_ids_m};
}

at::Tensor TokenRows::merged(const at::Tensor& table_vd) const {
  return table_vd.to(at::kFloat).index_copy(0, numbers_.ids_k.to(table_vd.device()), rows_kd_.to(at::kFloat));
}

std::vector<TrainedTokens> trained_tokens(const std::string& where, const config::Value& option,
                                          const std::vector<Site>& tables) {
  std::vector<TrainedTokens> all;
  if (const auto* by_table = option.get_if<config::Value::Table>()) {
    for (const auto& [name, value] : *by_table) {
      const auto& site = table_called(where, name, tables);
      all.push_back({{site}, ids_of(where, value, site)});
    }
  } else if (const auto* list = option.get_if<config::Value::Array>(); !option.empty() && !(list && list->empty())) {
    const auto embeddings = those(tables, false);
    const auto& site = table_called(where, embeddings.empty() ? "embed_tokens" : embeddings.front().path, embeddings);
    all.push_back({{site}, ids_of(where, option, site)});
  }
  // As in PEFT the rows of an embedding that is the head are the head's, too, unless that has others of its own.
  const auto is = [](bool head) {
    return [head](const TrainedTokens& tokens) { return tokens.tables.front().table->is_head == head; };
  };
  const auto read = std::ranges::find_if(all, is(false));
  if (read == all.end() || !read->tables.front().table->tied) return all;
  const auto written = std::ranges::find_if(all, is(true));
  if (written != all.end() && written->ids != read->ids) return all;
  const auto heads = those(tables, true);
  read->tables.insert(read->tables.end(), heads.begin(), heads.end());
  if (written != all.end()) all.erase(written);
  return all;
}

}  // namespace antiphon::nn
