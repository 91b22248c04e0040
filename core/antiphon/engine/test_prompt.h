// A question to a model of model/test_model.h. Only for tests.
#pragma once
#include <antiphon/data/prepare.h>
#include <antiphon/model/test_model.h>

namespace antiphon::engine::testing {

// `length` tokens that depend on `first`, and a picture behind the first of them.
inline data::Prepared prompt(const model::MultimodalLm& model, int64_t first, int64_t length, bool with_media = false) {
  data::Prepared out;
  for (int64_t i = 0; i < length; ++i) out.ids.push_back((first + i * 13) % 300);
  if (with_media) {
    model::BatchMedia media;
    media.stream = "image", media.position = 1, media.content = std::to_string(first);
    media.item = model.streams().at("image")->process(model::testing::test_image(2, 2, static_cast<uint8_t>(first)));
    out.ids.insert(out.ids.begin() + 1, static_cast<size_t>(media.item.tokens), 0);
    out.media.push_back(std::move(media));
  }
  out.supervised.resize(out.ids.size(), false);
  data::give_positions(out, model.llm());
  return out;
}

}  // namespace antiphon::engine::testing
