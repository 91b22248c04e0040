#include <antiphon/data/media_layout.h>

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/model/sound_within.h>

namespace antiphon::data {
namespace {

int64_t id_of(const char* option, const std::string& token, const model::BatchMedia& media,
              const text::Tokenizer& tokenizer) {
  const auto id = tokenizer.id_of(token);
  if (!id)
    fail(ErrorKind::config, fmt::format("{} = '{}' of the stream {} is not a token", option, token, media.stream),
         fmt::format("take the tokenizer of the model's own directory, or leave {} out", option));
  return *id;
}

// With the stream's token between the rows of its embeddings, if it has one.
void break_rows(model::BatchMedia& media, const model::MultimodalLm& model, const text::Tokenizer& tokenizer) {
  const auto& token = model.streams().at(media.stream)->row_break();
  if (!token.empty()) media.item.break_rows(id_of("row_break", token, media, tokenizer));
}

// With the stream's texts after and between its parts, if it has some.
void end_parts(model::BatchMedia& media, const model::MultimodalLm& model, const text::Tokenizer& tokenizer) {
  const auto& stream = *model.streams().at(media.stream);
  if (stream.part_end().empty() && stream.part_break().empty()) return;
  std::vector<int32_t> end, between;
  if (!stream.part_end().empty()) end = tokenizer.encode(stream.part_end(), {.add_special_tokens = true});
  if (!stream.part_break().empty()) between = tokenizer.encode(stream.part_break(), {.before = text::Before::token});
  media.item.end_parts(end, between);
}

// With the stream's texts before its parts, if it has some; none of them depends on the text around the item.
void begin_parts(model::BatchMedia& media, const model::MultimodalLm& model, const text::Tokenizer& tokenizer) {
  const auto& stream = *model.streams().at(media.stream);
  const auto& texts = stream.tile_texts();
  if (!texts.any()) return;
  if (media.item.tiling.rows == 0 && media.item.grids.size() > 1 && !stream.video())
    fail(
        ErrorKind::config,
        fmt::format("the encoder of the stream {} does not say where in a picture its {} parts lie, so that tile_begin "
                    "and the like have no place",
                    media.stream, media.item.grids.size()),
        "leave tile_begin, tile_row_end, tiles_end and whole_begin out");
  std::vector<std::vector<int32_t>> before;
  for (const auto& words : texts.before_parts(media.item.tiling, media.item.grids.size()))
    before.push_back(tokenizer.encode(words, {.before = text::Before::token}));
  media.item.begin_parts(before);
}

}  // namespace

void lay_out(model::BatchMedia& media, const model::MultimodalLm& model, const text::Tokenizer& tokenizer) {
  break_rows(media, model, tokenizer);
  end_parts(media, model, tokenizer);
  begin_parts(media, model, tokenizer);
}

void lay_within(model::BatchMedia& sound, model::BatchMedia& video, const model::MultimodalLm& model,
                const text::Tokenizer& tokenizer) {
  const auto& stream = *model.streams().at(video.stream);
  const auto mark = [&](const char* option, const std::string& token) {
    if (token.empty())
      fail(ErrorKind::config,
           fmt::format("the stream {} has no {}, the token around a video with its sound among its embeddings",
                       video.stream, option),
           "set sound_begin and sound_end, or leave data.video.interleave out: the sound stands after the video then");
    return id_of(option, token, video, tokenizer);
  };
  const model::SoundMarks marks{mark("sound_begin", stream.sound_begin()), mark("sound_end", stream.sound_end())};
  model::put_within(sound.item, video.item, stream.video()->sound_chunk(), marks);
  sound.within = true;
  sound.part_contents = video.part_contents = {video.content + " with " + sound.content};
}

}  // namespace antiphon::data
