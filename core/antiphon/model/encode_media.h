// The media of a batch through the encoders of a stream, by one process or by several together.
#pragma once
#include <string>

#include <antiphon/comm/group.h>
#include <antiphon/model/batch.h>

namespace antiphon::model {

struct EncodedAs {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
};

// For messages: the samples whose media go through a stream.
std::string samples_of(const Batch& batch, const std::string& stream);

// Gives features to the stream's items that have none. Items without a cache key go together; what is kept must not
// depend on what else is in a batch, so others go alone. The same content is encoded once. `slices`: these processes,
// which have the same batch, encode some items each, and the first gets all features; nullptr: this one does all.
// If one cannot encode something, it throws what that throws, and the others Error(distributed).
void encode_media(Batch& batch, Stream& stream, const EncodedAs& as, comm::Group* slices);

}  // namespace antiphon::model
