// The model on components of a few lines: where media go, and what happens when a component breaks its word.
#include <antiphon/model/test_model.h>

#include <antiphon/base/log.h>

#include <catch2/catch_test_macros.hpp>

using namespace antiphon;
using namespace antiphon::model;
using namespace antiphon::model::testing;

namespace {

const bool quiet = (log::set_level(log::Level::warning), true);

// One sample: text ids, and media at given places among them.
struct Piece {
  std::string stream;  // empty: text
  MediaItem item;
  int64_t id = 0;
};

Piece text(int64_t id) { return {"", {}, id}; }
Piece media(const std::string& stream, MediaItem item) { return {stream, std::move(item), 0}; }

void add_sample(const MultimodalLm& model, const std::vector<Piece>& pieces, const std::string& id, Batch& batch,
                std::vector<int64_t>& ids, std::vector<int64_t>& positions) {
  const size_t begin = ids.size();
  for (const auto& piece : pieces) {
    if (piece.stream.empty()) {
      ids.push_back(piece.id);
      continue;
    }
    BatchMedia entry;
    entry.stream = piece.stream, entry.sample_id = id, entry.position = static_cast<int64_t>(ids.size());
    entry.item = model.streams().at(piece.stream)->process(piece.item);
    ids.resize(ids.size() + static_cast<size_t>(entry.item.tokens), 0);
    batch.media.push_back(std::move(entry));
  }
  for (size_t i = begin; i < ids.size(); ++i) positions.push_back(static_cast<int64_t>(i - begin));
  batch.lengths.push_back(static_cast<int64_t>(ids.size() - begin));
  batch.sequences.push_back({id});
}

Batch batch_of(const MultimodalLm& model, const std::vector<std::vector<Piece>>& samples) {
  Batch batch;
  std::vector<int64_t> ids, positions;
  for (size_t i = 0; i < samples.size(); ++i)
    add_sample(model, samples[i], "s" + std::to_string(i), batch, ids, positions);
  batch.ids_t = at::tensor(ids, at::kLong), batch.positions_at = at::tensor(positions, at::kLong).unsqueeze(0);
  return batch;
}

std::vector<std::vector<Piece>> mixed() {
  return {{text(5), media("image", test_image(2, 3)), text(6), media("audio", test_sound(5, 0.1f)),
           media("image", test_image(1, 4, 9)), text(7)},
          {text(8), text(9)},
          {media("audio", test_sound(1, 0.2f)), media("audio", test_sound(4, 0.3f)), text(1)},
          {media("image", test_image(2, 3, 50)), text(2)}};
}

struct Failure {
  ErrorKind kind = ErrorKind::internal;
  std::string text;
};

template <class Body>
Failure failure(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return {error.kind(), error.what()};
  }
  return {};
}

bool says(const Failure& failure, const std::string& words) {
  INFO(failure.text);
  const bool found = failure.text.find(words) != std::string::npos;
  CHECK(found);
  return found;
}

Failure failure_of(const std::string& toml, const std::vector<std::vector<Piece>>& samples) {
  return failure([&] {
    auto model = test_model(toml);
    auto batch = batch_of(*model, samples);
    model->encode(batch);
    model->forward(batch);
  });
}

}  // namespace

TEST_CASE("embeddings of a part of a medium see each other and nothing else, packed as alone") {
  auto model = test_model(kMedia);
  const c10::AutoGradMode no_grad(false);
  const auto hidden = [&](const std::vector<std::vector<Piece>>& samples) {
    auto batch = batch_of(*model, samples);
    model->encode(batch);
    return model->forward(batch);
  };
  std::vector<at::Tensor> alone;
  for (const auto& sample : mixed()) alone.push_back(hidden({sample}));
  CHECK(at::allclose(hidden(mixed()), at::cat(alone), 1e-5, 1e-6));
  // What the last embedding of a part is changes the first one, and nothing before it.
  auto other = test_image(2, 3);
  other.image.rgb.back() = 250;
  const auto a = hidden({{text(5), media("image", test_image(2, 3)), text(6)}}),
             b = hidden({{text(5), media("image", other), text(6)}});
  CHECK(at::allclose(a[0], b[0], 1e-6, 1e-7));
  CHECK_FALSE(at::allclose(a[1], b[1], 1e-4, 1e-5));
  const auto c = hidden({{media("audio", test_sound(5, 0.1f))}});
  auto louder = test_sound(5, 0.1f);
  louder.audio.samples.back() = 1;  // of the second part
  CHECK(at::allclose(c.narrow(0, 0, 2), hidden({{media("audio", louder)}}).narrow(0, 0, 2), 1e-6, 1e-7));
}

TEST_CASE("tokens of text between the rows of a picture") {
  auto model = test_model();
  const auto item = model->streams().at("image")->process(test_image(3, 2));
  auto broken = item;
  broken.break_rows(7);
  CHECK(broken.ids == std::vector<int64_t>{-1, -1, 7, -1, -1, 7, -1, -1});
  CHECK(broken.tokens == 8);
  CHECK(broken.embeddings() == 6);
  CHECK(broken.part_tokens == std::vector<int64_t>{8});
  const auto batch_with = [&](const StreamItem& of, std::vector<int64_t> ids) {
    Batch batch;
    BatchMedia entry;
    entry.stream = "image", entry.position = 1, entry.item = of;
    batch.media.push_back(entry), batch.ids_t = at::tensor(ids, at::kLong), batch.lengths = {std::ssize(ids)};
    model->encode(batch);
    return model->embed(batch);
  };
  const auto x = batch_with(broken, {5, 0, 0, 7, 0, 0, 7, 0, 0, 6}), plain = batch_with(item, {5, 0, 0, 0, 0, 0, 0, 6});
  const auto rows = at::tensor({1, 2, 4, 5, 7, 8}, at::kLong);
  CHECK(at::equal(x.index_select(0, rows), plain.narrow(0, 1, 6)));
  CHECK(at::equal(x.index_select(0, at::tensor({0, 3, 6, 9}, at::kLong)),
                  model->llm().embed(at::tensor({5, 7, 7, 6}, at::kLong))));
  auto joined = item;
  joined.tokens = 9;  // as a connector that puts embeddings of its own between rows
  CHECK(says(failure([&] { joined.break_rows(7); }), "row_break"));
}

TEST_CASE("tokens stand after the parts of an item, and between them") {
  auto model = test_model();
  const auto one = model->streams().at("image")->process(test_image(1, 2));
  auto item = one;
  item.grids = {{1, 2}, {1, 1}}, item.part_tokens = {2, 1}, item.tokens = 3;
  auto ended = item, between = item;
  ended.end_parts({7, 8}, {9});
  CHECK(ended.ids == std::vector<int64_t>{-1, -1, 7, 8, 9, -1, 7, 8});
  CHECK(ended.tokens == 8);
  CHECK(ended.embeddings() == 3);
  between.end_parts({}, {9});
  CHECK(between.ids == std::vector<int64_t>{-1, -1, 9, -1});
  CHECK(says(failure([&] { ended.end_parts({7}, {}); }), "part_end"));
  item.part_tokens = {3};  // as a connector that puts parts into one
  CHECK(says(failure([&] { item.end_parts({7}, {}); }), "part_end"));
}

TEST_CASE("the same content is encoded once, and its gradient is that of both") {
  auto model = test_model(), alone = test_model();
  const std::vector<std::vector<Piece>> samples{{text(5), media("image", test_image(2, 3))},
                                                {text(6), media("image", test_image(1, 4, 9)), text(7)},
                                                {media("image", test_image(2, 3)), text(8)}};
  auto batch = batch_of(*model, samples), apart = batch_of(*alone, samples);
  batch.media[0].content = batch.media[2].content = "a", batch.media[1].content = "b";
  model->encode(batch), alone->encode(apart);
  CHECK(batch.media[2].item.features[0].is_same(batch.media[0].item.features[0]));
  CHECK_FALSE(apart.media[2].item.features[0].is_same(apart.media[0].item.features[0]));
  CHECK(batch.media[2].item.inputs.empty());
  const auto x = model->embed(batch), y = alone->embed(apart);
  CHECK(at::allclose(x, y, 1e-5, 1e-6));
  x.square().sum().backward(), y.square().sum().backward();
  const auto left = model->trainable_parameters(), right = alone->trainable_parameters();
  for (size_t i = 0; i < left.size(); ++i)
    if (right[i].tensor->grad().defined())
      CHECK(at::allclose(left[i].tensor->grad(), right[i].tensor->grad(), 1e-4, 1e-5));
}

TEST_CASE("each media item's embeddings are at its own place, row by row, and text is untouched") {
  auto model = test_model();
  auto batch = batch_of(*model, mixed());
  model->encode(batch);
  const auto x = model->embed(batch);
  auto covered = at::zeros({batch.tokens()}, at::kBool);
  for (auto& entry : batch.media) {
    auto& stream = *model->streams().at(entry.stream);
    int64_t at_row = entry.position;
    for (const auto& features : entry.item.features) {
      const auto rows = stream.connector().forward(features.reshape({1, features.size(0) * features.size(1), -1}),
                                                   {features.size(0), features.size(1)})[0];
      CHECK(at::allclose(x.narrow(0, at_row, rows.size(0)), rows, 1e-5, 1e-6));
      at_row += rows.size(0);
    }
    CHECK(at_row == entry.position + entry.item.tokens);
    covered.narrow(0, entry.position, entry.item.tokens).fill_(true);
  }
  CHECK(covered.sum().item<int64_t>() == 6 + 5 + 4 + 1 + 4 + 6);
  const auto words = covered.logical_not().nonzero().flatten();
  CHECK(at::equal(x.index_select(0, words), model->llm().embed(batch.ids_t.index_select(0, words))));
}

TEST_CASE("a batch of mixed samples is what each alone is; without media too") {
  auto model = test_model();
  auto batch = batch_of(*model, mixed());
  model->encode(batch);
  const auto all = model->forward(batch);
  int64_t begin = 0;
  for (const auto& sample : mixed()) {
    auto alone = batch_of(*model, {sample});
    model->encode(alone);
    const auto y = model->forward(alone);
    CHECK(at::allclose(all.narrow(0, begin, y.size(0)), y, 1e-4, 1e-5));
    begin += y.size(0);
  }
  CHECK(begin == all.size(0));
  auto plain = test_model("llm = { plugin = \"test_lm\" }");
  CHECK(plain->forward(batch_of(*plain, {{text(1), text(2)}})).size(0) == 2);
}

namespace {

const char* kPrompted = R"(
llm = { plugin = "test_lm", peft = [{ plugin = "test_prompt", tokens = 2 }, { plugin = "test_prompt" }] }
streams.image = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear", peft = [{ plugin = "test_prompt" }] } }
)";

// The samples with places for virtual tokens before each.
Batch with_places(const MultimodalLm& model, const std::vector<std::vector<Piece>>& samples) {
  auto padded = samples;
  for (auto& sample : padded)
    for (int64_t i = 0; i < model.prompt_tokens(); ++i) sample.insert(sample.begin(), text(0));
  auto batch = batch_of(model, padded);
  int64_t begin = 0;
  for (const auto length : batch.lengths) {
    BatchMedia prompt;
    prompt.position = begin, prompt.item.tokens = model.prompt_tokens();
    batch.media.push_back(std::move(prompt));
    begin += length;
  }
  return batch;
}

}  // namespace

TEST_CASE("virtual tokens of all methods stand before every sequence, with a gradient; media stay at their places") {
  auto model = test_model(kPrompted);
  CHECK(model->prompt_tokens() == 5);
  const std::vector<std::vector<Piece>> samples{{text(5), media("image", test_image(2, 3))}, {text(6)}};
  auto batch = with_places(*model, samples), plain = batch_of(*model, samples);
  model->encode(batch), model->encode(plain);
  const auto x = model->embed(batch), without = model->embed(plain);
  const auto parameters = model->trainable_parameters();
  const auto named = [&](const std::string& name) {
    return *std::ranges::find(parameters, name, &Parameter::name)->tensor;
  };
  const auto prompt = at::cat({named("llm.peft.0/embedding"), named("llm.peft.1/embedding")});
  CHECK(at::equal(x.narrow(0, 0, 5), prompt));
  CHECK(at::equal(x.narrow(0, 12, 5), prompt));
  CHECK(at::equal(x.narrow(0, 5, 7), without.narrow(0, 0, 7)));
  x.sum().backward();
  CHECK(at::equal(named("llm.peft.1/embedding").grad(), at::full({3, 16}, 2.0)));
}

TEST_CASE("methods on streams: parts, sets and paths of their own, switched off each by itself") {
  auto model = test_model(kPrompted);
  std::vector<std::string> paths;
  for (const auto& part : model->parts()) paths.push_back(part.path);
  CHECK(paths == std::vector<std::string>{"llm", "llm.peft.0", "llm.peft.1", "streams.image.encoder",
                                          "streams.image.connector", "streams.image.connector.peft.0"});
  auto& stream = *model->streams().at("image");
  const auto rows = at::ones({2, 3});
  const auto both = stream.connector().project(rows);
  const AdapterScope without(~(uint64_t{1} << 2));
  CHECK(at::allclose(both, 2 * stream.connector().project(rows)));
}

TEST_CASE("an encoder with a method on it is trained: its features change") {
  const auto toml = [](const std::string& peft) {
    return "llm = { plugin = \"test_lm\" }\nstreams.image = { encoder = { plugin = \"test_pixels\"" + peft +
           " }, connector = { plugin = \"test_linear\" } }";
  };
  CHECK(test_model(toml(""))->streams().at("image")->encoders_frozen());
  const auto model = test_model(toml(", peft = [{ plugin = \"test_prompt\", tokens = 7 }]"));
  CHECK_FALSE(model->streams().at("image")->encoders_frozen());
  CHECK(model->streams().at("image")->settings().find("test_prompt") != std::string::npos);
  const auto error = failure([&] { test_model(toml(", peft = [{ plugin = \"test_prompt\", tokns = 7 }]")); });
  CHECK(error.kind == ErrorKind::config);
  says(error, "[model.streams.image.encoder.peft.0]");
}

TEST_CASE("features that are given are used as they are") {
  auto model = test_model();
  auto batch = batch_of(*model, mixed());
  model->encode(batch);
  const auto expected = model->embed(batch);
  auto given = batch_of(*model, mixed());
  for (size_t i = 0; i < given.media.size(); ++i) {
    const auto tokens = given.media[i].item.tokens;
    const auto& item = batch.media[i].item;
    given.media[i].item = model->streams().at(given.media[i].stream)->from_features(item.features, item.tiling);
    CHECK(given.media[i].item.tokens == tokens);
  }
  model->encode(given);
  CHECK(at::equal(model->embed(given), expected));
}

TEST_CASE("several encoders in a stream are joined; grids that differ are an error of the item") {
  const auto toml = [](const std::string& shrink) {
    return "llm = { plugin = \"test_lm\" }\nstreams.image = { encoder = [{ plugin = \"test_pixels\" }, { plugin = "
           "\"test_pixels\", shrink = " +
           shrink + " }], connector = { plugin = \"test_linear\" } }";
  };
  auto model = test_model(toml("1"));
  auto batch = batch_of(*model, {{media("image", test_image(2, 4)), text(1)}});
  model->encode(batch);
  CHECK(batch.media[0].item.features[0].sizes() == at::IntArrayRef({2, 4, 6}));
  CHECK(model->forward(batch).size(0) == 9);
  const auto error = failure_of(toml("2"), {{media("image", test_image(2, 4))}});
  CHECK(error.kind == ErrorKind::data);
  says(error, "different grids");
}

TEST_CASE("pictures of several sizes go through an encoder that packs them in one call, as they do one by one") {
  const auto toml = [](const std::string& more) {
    return "llm = { plugin = \"test_lm\" }\nstreams.image = { encoder = { plugin = \"test_pixels\"" + more +
           " }, connector = { plugin = \"test_linear\" } }";
  };
  const std::vector<std::vector<Piece>> samples{
      {media("image", test_image(2, 4)), text(1), media("image", test_image(3, 1, 90))},
      {media("image", test_image(2, 4, 7)), text(2)}};
  auto apart = test_model(toml("")), together = test_model(toml(", packed = true"));
  auto expected = batch_of(*apart, samples), got = batch_of(*together, samples);
  const auto before = TestEncoder::packed_calls;
  apart->encode(expected);
  CHECK(TestEncoder::packed_calls == before);
  together->encode(got);
  CHECK(TestEncoder::packed_calls == before + 1);
  for (size_t i = 0; i < expected.media.size(); ++i)
    CHECK(at::equal(got.media[i].item.features[0], expected.media[i].item.features[0]));
  const auto lie = failure_of(toml(", packed = true, lie = 1"), samples);
  CHECK(lie.kind == ErrorKind::plugin);
  says(lie, "announced 19 vectors of 3 for 3 parts");
}

TEST_CASE("a component that breaks the counting contract is named, with the sample") {
  const std::string head = "llm = { plugin = \"test_lm\" }\nstreams.image = { encoder = { plugin = \"test_pixels\"";
  const auto encoder = failure_of(head + ", lie = 1 }, connector = { plugin = \"test_linear\" } }",
                                  {{media("image", test_image(2, 2))}});
  CHECK(encoder.kind == ErrorKind::plugin);
  says(encoder, "test_pixels");
  says(encoder, "announced 4");
  says(encoder, "s0");
  const auto none = failure_of(head + ", fault = \"none\" }, connector = { plugin = \"test_linear\" } }",
                               {{media("image", test_image(2, 2))}});
  CHECK(none.kind == ErrorKind::plugin);
  says(none, "no part");
  const auto rows = failure_of(head + " }, connector = { plugin = \"test_linear\", lie = 3 } }",
                               {{text(1)}, {media("image", test_image(2, 2))}});
  CHECK(rows.kind == ErrorKind::plugin);
  says(rows, "stream image");
  says(rows, "sample s1");
  // One item too long and one too short: the sum fits, the items do not.
  const auto sum = failure_of(head + " }, connector = { plugin = \"test_linear\", lie_rows = true } }",
                              {{media("image", test_image(1, 4)), media("image", test_image(2, 2))}});
  CHECK(sum.kind == ErrorKind::plugin);
  says(sum, "sample s0");
}

TEST_CASE("the stream of a media part: by name, or the only one of its modality") {
  auto model = test_model(R"(
llm = { plugin = "test_lm" }
streams.left = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.right = { encoder = { plugin = "test_pixels" }, connector = { plugin = "test_linear" } }
streams.speech = { encoder = { plugin = "test_levels" }, connector = { plugin = "test_linear" } })");
  CHECK(model->stream_for(Modality::audio).name() == "speech");
  CHECK(model->stream_for(Modality::image, "left").name() == "left");
  for (const auto* wanted : {"", "speech", "middle"}) {
    const auto error = failure([&] { model->stream_for(Modality::image, wanted); });
    CHECK(error.kind == ErrorKind::data);
    says(error, "left (image)");
  }
  CHECK(failure([&] { model->stream_for(Modality::audio, "sound"); }).kind == ErrorKind::data);
  CHECK(test_model()->stream_for(Modality::image).name() == "image");
}

TEST_CASE("what cannot be built is said all at once, and the options in force are written back") {
  const auto error = failure([] {
    test_model(R"(
llm = { plugin = "test_lm", hiden_size = 8 }
streams.image = { encoder = { plugin = "test_pixels", lie = "x" }, connector = { plugin = "test_linear" } }
streams.audio = { encoder = { plugin = "test_nothing" }, connector = { plugin = "test_linear" } }
streams.both = { encoder = [{ plugin = "test_pixels" }, { plugin = "test_levels" }], connector = { plugin = "test_linear" } }
streams.empty = { encoder = [], connector = { plugin = "test_linear" } })");
  });
  for (const auto* words :
       {"hiden_size", "did you mean", "lie", "test_nothing", "test:", "different modalities", "no encoder"})
    says(error, words);
  const auto model = test_model(kTwoStreams, false);
  const auto text = config::to_toml(model_table().dump(&model->spec()));
  CHECK(text.find("hidden_size = 16") != std::string::npos);
  CHECK(text.find("shrink = 1") != std::string::npos);
}

TEST_CASE("what is trained: connectors by default, everything else when asked; names carry the part") {
  const auto names = [](const std::string& toml) {
    std::vector<std::string> out;
    for (const auto& parameter : test_model(toml)->trainable_parameters()) out.push_back(parameter.name);
    return out;
  };
  CHECK(names(kTwoStreams) == std::vector<std::string>{"streams.audio.connector/weight", "streams.audio.connector/bias",
                                                       "streams.image.connector/weight",
                                                       "streams.image.connector/bias"});
  CHECK(names(R"(llm = { plugin = "test_lm" }
streams.image = { encoder = [{ plugin = "test_pixels" }, { plugin = "test_pixels", trainable = true }], connector = { plugin = "test_linear", trainable = false } })") ==
        std::vector<std::string>{"streams.image.encoder.1/scale"});
  CHECK(names("llm = { plugin = \"test_lm\", trainable = true }").size() > 10);
}

TEST_CASE("frozen encoders keep no graph; trainable ones get a gradient") {
  for (const bool trained : {false, true}) {
    auto model = test_model(
        std::string(
            "llm = { plugin = \"test_lm\" }\nstreams.image = { encoder = { plugin = \"test_pixels\", trainable = ") +
        (trained ? "true" : "false") + " }, connector = { plugin = \"test_linear\" } }");
    auto batch = batch_of(*model, {{media("image", test_image(2, 2)), text(1)}});
    model->encode(batch);
    CHECK(batch.media[0].item.features[0].requires_grad() == trained);
    model->forward(batch).sum().backward();
    for (const auto& parameter : model->trainable_parameters()) {
      INFO(parameter.name);
      REQUIRE(parameter.tensor->grad().defined());
    }
  }
}
