#include <antiphon/parallel/owners.h>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <antiphon/parallel/agreed.h>
#include <antiphon/parallel/alike.h>

#include <algorithm>
#include <numeric>

namespace antiphon::parallel {
namespace {

using Sizes = std::vector<int64_t>;

int64_t numel(const Sizes& sizes) {
  return std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>());
}

at::Tensor part_of(const at::Tensor& whole, const Sizes& begin, const Sizes& sizes) {
  auto part = whole;
  for (size_t d = 0; d < sizes.size(); ++d) part = part.narrow(static_cast<int64_t>(d), begin[d], sizes[d]);
  return part;
}

at::Tensor empty_like(const at::Tensor& x, at::IntArrayRef sizes) {
  return at::empty(sizes, x.options().requires_grad(false));
}

}  // namespace

// Those of which no process has all.
std::vector<Owners::Cut> Owners::cut_up(const std::vector<Parameter>& own,
                                        const std::vector<std::vector<int64_t>>& places) const {
  std::vector<Cut> cuts;
  size_t at = 0;
  for (const auto& parameter : own) {
    if (!parameter.box) continue;
    const auto dims = parameter.box->begin.size();
    Cut cut{parameter, {}};
    for (const auto& place : places) {
      const auto begin = place.begin() + static_cast<int64_t>(at), size = begin + static_cast<int64_t>(dims);
      Piece piece{{begin, size}, {size, size + static_cast<int64_t>(dims)}};
      piece.is_first = std::ranges::none_of(
          cut.pieces, [&](const Piece& other) { return other.begin == piece.begin && other.sizes == piece.sizes; });
      cut.pieces.push_back(std::move(piece));
    }
    at += 2 * dims;
    const auto& whole = parameter.box->whole;
    if (std::ranges::none_of(cut.pieces, [&](const Piece& piece) { return piece.sizes == whole; }))
      cuts.push_back(std::move(cut));
  }
  return cuts;
}

// The largest first, each to the one that has least so far among those that have some of it.
void Owners::choose_owners() {
  Sizes shares(static_cast<size_t>(group_.size()));
  std::vector<size_t> order(cuts_.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, std::greater<>(), [&](size_t i) { return numel(cuts_[i].own.box->whole); });
  for (const auto i : order) {
    auto& cut = cuts_[i];
    int owner = -1;
    for (int rank = 0; rank < group_.size(); ++rank) {
      const auto r = static_cast<size_t>(rank);
      if (numel(cut.pieces[r].sizes) > 0 && (owner < 0 || shares[r] < shares[static_cast<size_t>(owner)])) owner = rank;
    }
    cut.owner = owner;
    shares[static_cast<size_t>(owner)] += numel(cut.own.box->whole);
  }
}

Owners::Owners(const std::vector<Parameter>& own, comm::Group& group, const std::vector<std::vector<int64_t>>& places)
    : group_(group) {
  cuts_ = cut_up(own, places.empty() ? gathered(places_of(own), group) : places);
  choose_owners();
  const auto is_cut = [&](const Parameter& parameter) {
    return std::ranges::any_of(cuts_, [&](const Cut& cut) { return cut.own.tensor == parameter.tensor; });
  };
  std::ranges::copy_if(own, std::back_inserter(parameters_),
                       [&](const Parameter& parameter) { return !is_cut(parameter); });
  for (auto& cut : cuts_) {
    if (cut.owner != group_.rank()) continue;
    whole_.push_back(empty_like(*cut.own.tensor, cut.own.box->whole));
    cut.whole = &whole_.back();
    auto& parameter = parameters_.emplace_back(cut.own);
    parameter.tensor = cut.whole, parameter.box = Box{cut.own.box->whole, Sizes(cut.own.box->whole.size())};
  }
  for (auto& tensor : whole_) tensor.set_requires_grad(true);
  gather_values();
}

void Owners::gather_values() {
  c10::AutoGradMode no_grad(false);
  gather([](const Cut& cut) { return cut.own.tensor->detach(); }, [](const Cut& cut) { return cut.whole->detach(); });
}

void Owners::gather(const std::function<at::Tensor(const Cut&)>& of_piece,
                    const std::function<at::Tensor(const Cut&)>& whole) {
  const auto me = static_cast<size_t>(group_.rank()), all = static_cast<size_t>(group_.size());
  std::vector<comm::Pieces> to(all), from(all);
  std::vector<std::pair<at::Tensor, at::Tensor>> arrived;  // a piece, and where it goes
  for (const auto& cut : cuts_) {
    const auto has = [&](size_t rank) { return cut.pieces[rank].is_first && numel(cut.pieces[rank].sizes) > 0; };
    if (has(me)) to[static_cast<size_t>(cut.owner)].push_back(of_piece(cut).contiguous());
    for (size_t rank = 0; cut.whole && rank < all; ++rank) {
      if (!has(rank)) continue;
      const auto& piece = from[rank].emplace_back(empty_like(*cut.own.tensor, cut.pieces[rank].sizes));
      arrived.emplace_back(piece, part_of(whole(cut), cut.pieces[rank].begin, cut.pieces[rank].sizes));
    }
  }
  group_.begin_exchange(to, from)();
  for (const auto& [piece, place] : arrived) place.copy_(piece);
}

void Owners::gather_gradients() {
  c10::AutoGradMode no_grad(false);
  // All pieces of a parameter have a gradient, or none has (Placement::add_gradients).
  for (auto& cut : cuts_)
    if (cut.whole && cut.own.tensor->grad().defined())
      cut.whole->mutable_grad() = empty_like(*cut.whole, cut.whole->sizes());
  const auto zeros = [](const at::Tensor& like) {
    return at::zeros(like.sizes(), like.options().requires_grad(false));
  };
  gather(
      [&](const Cut& cut) {
        const auto& gradient = cut.own.tensor->grad();
        return gradient.defined() ? gradient : zeros(*cut.own.tensor);
      },
      [&](const Cut& cut) { return cut.whole->grad().defined() ? cut.whole->grad() : zeros(*cut.whole); });
  for (auto& cut : cuts_) cut.own.tensor->mutable_grad().reset();
}

void Owners::return_values() {
  c10::AutoGradMode no_grad(false);
  const auto all = static_cast<size_t>(group_.size());
  std::vector<comm::Pieces> to(all), from(all);
  std::vector<std::pair<at::Tensor, at::Tensor>> arrived;
  for (const auto& cut : cuts_) {
    for (size_t rank = 0; cut.whole && rank < all; ++rank) {
      const auto& piece = cut.pieces[rank];
      if (numel(piece.sizes) > 0)
        to[rank].push_back(part_of(cut.whole->detach(), piece.begin, piece.sizes).contiguous());
    }
    if (cut.own.tensor->numel() == 0) continue;
    const auto& piece =
        from[static_cast<size_t>(cut.owner)].emplace_back(empty_like(*cut.own.tensor, cut.own.tensor->sizes()));
    arrived.emplace_back(piece, *cut.own.tensor);
  }
  group_.begin_exchange(to, from)();
  for (const auto& [piece, place] : arrived) place.copy_(piece);
}

}  // namespace antiphon::parallel
