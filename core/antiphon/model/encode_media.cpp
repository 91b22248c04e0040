#include <antiphon/model/encode_media.h>

#include <ATen/ATen.h>

#include <antiphon/base/fail_lines.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/trace.h>

#include <algorithm>
#include <exception>
#include <map>

namespace antiphon::model {
namespace {

using MediaList = std::vector<BatchMedia*>;

// Those that have to be encoded, and those of the same content, which get what the first of them gets.
struct Missing {
  MediaList media;
  std::vector<std::pair<StreamItem*, StreamItem*>> same;
};

Missing missing_of(Batch& batch, const std::string& stream) {
  Missing missing;
  std::map<std::string, StreamItem*> seen;
  for (auto& media : batch.media) {
    if (media.stream != stream) continue;
    auto& item = media.item;
    if (item.features.empty() && !media.content.empty()) {
      const auto [first, is_new] = seen.try_emplace(media.content, &item);
      if (!is_new) {
        missing.same.emplace_back(&item, first->second);
        continue;
      }
    }
    if (item.features.empty()) missing.media.push_back(&media);
  }
  return missing;
}

void encode_all(const MediaList& list, Stream& stream, const EncodedAs& as) {
  std::vector<std::vector<StreamItem*>> together(1);
  for (auto* media : list) {
    if (media->cache_key.empty())
      together.front().push_back(&media->item);
    else
      together.push_back({&media->item});
  }
  for (const auto& items : together)
    if (!items.empty()) stream.encode(items, as.dtype, as.device);
}

// What the first process is missing is what it says: another one may have found more or less of it in the cache.
MediaList missing_in_first(Batch& batch, const MediaList& own, comm::Group& slices) {
  const auto count = static_cast<int64_t>(batch.media.size());
  const auto wanted = at::zeros({count}, at::kLong);
  auto* is_wanted = wanted.mutable_data_ptr<int64_t>();
  for (const auto* media : own) is_wanted[media - batch.media.data()] = 1;
  slices.broadcast(wanted, 0);
  MediaList list;
  for (int64_t i = 0; i < count; ++i)
    if (is_wanted[i]) list.push_back(&batch.media[static_cast<size_t>(i)]);
  return list;
}

// One after the other; the largest first would be a better share, if items differed much.
MediaList share_of(const MediaList& all, size_t rank, size_t size) {
  MediaList own;
  for (size_t i = rank; i < all.size(); i += size) own.push_back(all[i]);
  return own;
}

comm::Pieces pieces_of(const MediaList& list, const EncodedAs& as) {
  comm::Pieces pieces;
  for (const auto* media : list)
    for (const auto& part : media->item.features) pieces.push_back(part.to(as.device, as.dtype).contiguous());
  return pieces;
}

// Tensors for what another process has encoded.
comm::Pieces places_for(const MediaList& list, const Stream& stream, const EncodedAs& as) {
  comm::Pieces places;
  for (auto* media : list) {
    media->item.features = stream.empty_features(media->item, as.dtype, as.device);
    places.insert(places.end(), media->item.features.begin(), media->item.features.end());
  }
  return places;
}

// Whoever fails says so before the others wait for what it has not got.
void encode_own(const MediaList& own, Stream& stream, const EncodedAs& as, comm::Group& slices) {
  std::exception_ptr failure;
  try {
    MediaList without;
    std::ranges::copy_if(own, std::back_inserter(without), [](auto* media) { return media->item.features.empty(); });
    encode_all(without, stream, as);
  } catch (const std::exception&) {
    failure = std::current_exception();
  }
  const auto failed = at::full({1}, failure ? 1 : 0, at::kLong);
  slices.largest(failed);
  if (failure) std::rethrow_exception(failure);
  if (failed.item<int64_t>())
    fail(ErrorKind::distributed, "another process cannot encode its share of the media", "look at what it says");
}

void encode_together(Batch& batch, const MediaList& missing, Stream& stream, const EncodedAs& as, comm::Group& slices) {
  const auto all = missing_in_first(batch, missing, slices);
  const auto rank = static_cast<size_t>(slices.rank()), size = static_cast<size_t>(slices.size());
  if (all.empty()) return;
  const auto own = share_of(all, rank, size);
  encode_own(own, stream, as, slices);
  std::vector<comm::Pieces> to(size), from(size);
  to[0] = pieces_of(own, as);
  // All take part in the exchange, also with nothing.
  if (own.empty()) to[0].push_back(at::empty({0}, at::TensorOptions(as.device).dtype(as.dtype)));
  if (rank == 0) from[0] = to[0];
  for (size_t other = 1; rank == 0 && other < size; ++other)
    from[other] = places_for(share_of(all, other, size), stream, as);
  slices.begin_exchange(to, from)();
  for (auto* media : own)
    if (rank > 0) media->item.features.clear();  // the first has them
}

}  // namespace

std::string samples_of(const Batch& batch, const std::string& stream) {
  std::string text;
  for (const auto& media : batch.media)
    if (media.stream == stream && text.size() < 200) text += (text.empty() ? "sample " : ", ") + shown(media.sample_id);
  return text;
}

void encode_media(Batch& batch, Stream& stream, const EncodedAs& as, comm::Group* slices) {
  const auto is_of_stream = [&](const BatchMedia& media) { return media.stream == stream.name(); };
  if (std::ranges::none_of(batch.media, is_of_stream)) return;
  const auto missing = missing_of(batch, stream.name());
  if (!slices || slices->rank() == 0)  // those of the cache come from the CPU
    for (auto& media : batch.media)
      for (auto& kept : media.item.features)
        if (media.stream == stream.name()) kept = kept.to(as.device);
  if (!slices && missing.media.empty() && missing.same.empty()) return;
  const TraceScope scope("encoders/", stream.name());
  with_context("encoding media of " + samples_of(batch, stream.name()), [&] {
    if (slices)
      encode_together(batch, missing.media, stream, as, *slices);
    else
      encode_all(missing.media, stream, as);
  });
  if (slices && slices->rank() > 0) return;
  for (const auto& [item, first] : missing.same) item->features = first->features, item->inputs.clear();
}

}  // namespace antiphon::model
