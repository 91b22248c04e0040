#include <antiphon/model/split_batch.h>

#include <ATen/ATen.h>

#include <algorithm>

namespace antiphon::model {
namespace {

// What lies before a place between two groups.
struct PlaceInBatch {
  int64_t tokens = 0, supervised = 0;
  size_t sequences = 0, groups = 0;
};

PlaceInBatch behind_next_group(const Batch& batch, PlaceInBatch place) {
  for (int64_t i = 0; i < batch.groups[place.groups]; ++i, ++place.sequences)
    place.tokens += batch.lengths[place.sequences], place.supervised += batch.sequences[place.sequences].supervised;
  ++place.groups;
  return place;
}

template <class T>
std::vector<T> part(const std::vector<T>& all, size_t begin, size_t end) {
  return {all.begin() + static_cast<int64_t>(begin), all.begin() + static_cast<int64_t>(end)};
}

Batch between(const Batch& batch, const PlaceInBatch& begin, const PlaceInBatch& end) {
  Batch made;
  made.ids_t = batch.ids_t.slice(0, begin.tokens, end.tokens);
  made.positions_at = batch.positions_at.slice(1, begin.tokens, end.tokens);
  const bool last = end.sequences == batch.sequences.size();  // padding has a length of its own, and stands behind
  made.lengths = part(batch.lengths, begin.sequences, last ? batch.lengths.size() : end.sequences);
  made.sequences = part(batch.sequences, begin.sequences, end.sequences);
  made.groups = part(batch.groups, begin.groups, end.groups);
  made.supervised_n = batch.supervised_n.slice(0, begin.supervised, end.supervised) - begin.tokens;
  made.labels_n = batch.labels_n.slice(0, begin.supervised, end.supervised);
  if (batch.behaviour_n.defined()) made.behaviour_n = batch.behaviour_n.slice(0, begin.supervised, end.supervised);
  for (const auto& media : batch.media) {
    if (media.position < begin.tokens || media.position >= end.tokens) continue;
    made.media.push_back(media);
    made.media.back().position -= begin.tokens;
  }
  return made;
}

}  // namespace

std::optional<std::pair<Batch, Batch>> halves_of(const Batch& batch) {
  if (batch.groups.size() < 2) return std::nullopt;
  const int64_t tokens = batch.tokens() - batch.padding;
  auto middle = behind_next_group(batch, {});
  while (middle.groups + 1 < batch.groups.size()) {
    const auto next = behind_next_group(batch, middle);
    if (std::abs(2 * next.tokens - tokens) > std::abs(2 * middle.tokens - tokens)) break;
    middle = next;
  }
  const PlaceInBatch end{batch.tokens(), batch.supervised(), batch.sequences.size(), batch.groups.size()};
  std::pair halves(between(batch, {}, middle), between(batch, middle, end));
  halves.second.padding = batch.padding;
  return halves;
}

}  // namespace antiphon::model
