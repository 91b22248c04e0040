// Batches from threads, on components of a few lines: the same batches whatever the threads do, and none lost.
#include <antiphon/base/files.h>
#include <antiphon/base/sample_time.h>
#include <antiphon/data/test_loader.h>
#include <antiphon/media/decode.h>

#include <fmt/format.h>
#include <catch2/catch_test_macros.hpp>

#include <cmath>
#include <map>
#include <set>

using namespace antiphon;
using namespace antiphon::data;
using namespace antiphon::data::testing;

TEST_CASE("loader: the batches do not depend on threads and read-ahead") {
  Setup setup;
  auto o = setup.options({{lines("a", 30), 1}, {lines("b", 7) + "broken\n", 2}});
  o.max_bad_fraction = 1;
  std::optional<Ids> first;
  for (const int64_t threads : {1, 2, 7})
    for (const int64_t prefetch : {1, 3, 100}) {
      o.threads = threads, o.prefetch = prefetch;
      const auto got = batches(*setup.loader(o), 40);
      if (!first) first = got;
      CHECK(got == *first);
    }
  CHECK(batches(*setup.loader(o, 128, 2), 40) != *first);
}

TEST_CASE(
    "loader: a batch keeps to its budget, is filled as far as the next sample allows, and no sample is lost or "
    "repeated") {
  Setup setup;
  auto o = setup.options({{lines("a", 50), 1}});
  auto loader = setup.loader(o, 100);
  std::map<std::string, int64_t> seen, tokens_of;
  int64_t before = 0, drawn = 0;
  while (drawn < 500) {
    const auto batch = loader->next_batch();
    const int64_t tokens = batch.tokens() - batch.padding;
    CHECK(tokens <= 100);
    CHECK(batch.tokens() % kPackMultiple == 0);
    REQUIRE(batch.lengths.size() == batch.sequences.size() + (batch.padding > 0));
    if (before > 0) CHECK(before + batch.lengths[0] > 100);
    before = tokens;
    for (size_t i = 0; i < batch.sequences.size(); ++i) {
      ++seen[batch.sequences[i].id], ++drawn;
      tokens_of[batch.sequences[i].id] = batch.lengths[i];
    }
    CHECK(batch.supervised() > 0);
    CHECK(loader->counts().good == drawn);
  }
  CHECK(seen.size() == 50);
  for (const auto& [id, count] : seen) CHECK(std::abs(count - static_cast<double>(drawn) / 50) <= 1);
  CHECK(loader->samples() == 50);
}

TEST_CASE("loader: restored after any batch, the rest is the same") {
  Setup setup;
  auto o = setup.options({{lines("a", 12) + "broken\n" + lines("c", 5), 1}, {lines("b", 5), 3}});
  o.max_bad_fraction = 1, o.threads = 3;
  auto whole = setup.loader(o);
  std::vector<LoaderState> states{whole->state()};
  Ids all;
  for (int i = 0; i < 25; ++i) {
    all.push_back(ids_of(whole->next_batch()));
    states.push_back(whole->state());
  }
  for (size_t from = 0; from < all.size(); from += 3) {
    auto again = setup.loader(o);
    again->restore(states[from]);
    CHECK(batches(*again, static_cast<int>(all.size() - from)) ==
          Ids(all.begin() + static_cast<long>(from), all.end()));
    CHECK(again->counts() == states.back().counts());
    CHECK(again->state().rows[0].order == states.back().rows[0].order);
  }
  auto other = setup.loader(setup.options({{lines("a", 3), 1}}));
  const auto error = failure([&] { other->restore(states[2]); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::weights);
}

namespace {

// Of each sample its id and the ids that are read.
std::vector<std::string> texts_of(Loader& loader, int n) {
  std::vector<std::string> texts;
  for (int i = 0; i < n; ++i) {
    const auto batch = loader.next_batch();
    int64_t begin = 0;
    for (size_t s = 0; s < batch.sequences.size(); begin += batch.lengths[s++]) {
      auto text = batch.sequences[s].id + ":";
      for (int64_t t = begin; t < begin + batch.lengths[s]; ++t)
        text += fmt::format(" {}", batch.ids_t[t].item<int64_t>());
      texts.push_back(std::move(text));
    }
  }
  return texts;
}

}  // namespace

TEST_CASE("loader: other questions are asked in other epochs, the same by any threads, and after a resume") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  setup.folder.write("questions.txt", "z\nzz\nzzz\nzzzz\n");
  std::string manifest;
  for (int i = 0; i < 8; ++i)
    manifest += fmt::format(R"({{"id": "{}", "audio_filepath": "{}/tests/media/tone.wav", "text": "yes"}})", i,
                            ANTIPHON_SOURCE_DIR) +
                "\n";
  auto o = setup.options({{manifest, 1}});
  auto& source = o.train.sources[0];
  source.format = "nemo_manifest";
  source.format_options = config::Value::Table{{"context_file", (setup.folder / "questions.txt").string()}};
  constexpr int kBatches = 40;
  const auto whole = texts_of(*setup.loader(o), kBatches);
  std::map<std::string, std::set<std::string>> asked;  // of each record
  for (const auto& text : whole) asked[text.substr(0, text.find(':'))].insert(text);
  CHECK(asked.size() == 8);
  for (const auto& [id, texts] : asked) CHECK(texts.size() > 1);
  for (const int64_t threads : {1, 5}) {
    o.threads = threads;
    CHECK(texts_of(*setup.loader(o), kBatches) == whole);
  }
  auto begun = setup.loader(o), again = setup.loader(o);
  const auto first = texts_of(*begun, 17);
  again->restore(begun->state());
  auto rest = texts_of(*again, kBatches - 17);
  rest.insert(rest.begin(), first.begin(), first.end());
  CHECK(rest == whole);
  CHECK(texts_of(*setup.loader(o, 128, 2), kBatches) != whole);
  // Records of held-out sets, which are read without a draw, are asked the same.
  const RecordSet held(source);
  for (int64_t i = 0; i < held.size(); ++i)
    CHECK(held.sample(i).turns.at(0).parts.at(1).text == held.sample(i).turns.at(0).parts.at(1).text);
}

TEST_CASE("loader: the batches of a step are the same, however many processes share its rows") {
  Setup setup;
  auto o = setup.options({{lines("a", 30) + "broken\n", 1}, {lines("b", 7), 2}});
  o.max_bad_fraction = 1;
  const int64_t all = 4;
  auto whole = setup.loader(o, 128, 1, {all, 0, all});
  const auto expected = batches(*whole, 10 * static_cast<int>(all));
  for (const int64_t count : {1, 2}) {
    LoaderState state;
    for (int64_t first = 0; first < all; first += count) {
      auto part = setup.loader(o, 128, 1, {all, first, count});
      const auto got = batches(*part, 10 * static_cast<int>(count));
      for (size_t i = 0; i < got.size(); ++i) {
        const auto step = i / static_cast<size_t>(count), row = i % static_cast<size_t>(count);
        CHECK(got[i] == expected[step * all + static_cast<size_t>(first) + row]);
      }
      const auto rows = part->state().rows;
      state.rows.insert(state.rows.end(), rows.begin(), rows.end());
    }
    CHECK(state.counts() == whole->counts());
    auto again = setup.loader(o, 128, 1, {all, 0, all}), next = setup.loader(o, 128, 1, {all, 0, all});
    again->restore(state), next->restore(whole->state());
    CHECK(batches(*again, 8) == batches(*next, 8));
  }
}

TEST_CASE("loader: rows draw each sample of an epoch once, between them") {
  Setup setup;
  const auto o = setup.options({{lines("a", 60), 1}});
  auto loader = setup.loader(o, 128, 1, {3, 0, 3});
  std::map<std::string, int64_t> seen;
  while (loader->counts().good < 6000)
    for (const auto& id : ids_of(loader->next_batch())) ++seen[id];
  CHECK(seen.size() == 60);
  const double mean = static_cast<double>(loader->counts().good) / 60;
  for (const auto& [id, count] : seen) CHECK(std::abs(static_cast<double>(count) - mean) <= 3);  // rows drift apart
}

TEST_CASE("loader: with another number of rows all go on at the earliest, if that is accepted") {
  Setup setup;
  const auto o = setup.options({{lines("a", 60), 1}});
  auto four = setup.loader(o, 128, 1, {4, 0, 4});
  batches(*four, 12);
  auto two = setup.loader(o, 128, 1, {2, 0, 2});
  const auto error = failure([&] { two->restore(four->state()); });
  REQUIRE(error);
  CHECK(error->message() == "the run drew its samples in 4 rows; now there are 2");
  int64_t earliest = 1000;
  for (const auto& row : four->state().rows) earliest = std::min(earliest, row.order.draws());
  CHECK(earliest > 12);
  // None of the draws from there on is left out, whoever has which rows.
  for (const int64_t rows : {2, 3, 5})
    for (int64_t row = 0; row < rows; ++row) {
      auto own = setup.loader(o, 128, 1, {rows, row, 1});
      own->restore(four->state(), true);
      const auto first = own->state().rows.at(0).order.draws();
      CHECK(first % rows == row);
      CHECK((first >= earliest && first < earliest + rows));
      auto all = setup.loader(o, 128, 1, {rows, 0, rows});
      all->restore(four->state(), true);
      CHECK(all->state().rows.at(static_cast<size_t>(row)).order.draws() == first);
    }
}

TEST_CASE("loader: with another number of sources the order begins anew, if that is accepted") {
  Setup setup;
  auto o = setup.options({{lines("a", 12), 1}});
  auto one = setup.loader(o);
  batches(*one, 9);
  setup.folder.write("more.jsonl", lines("b", 6));
  o.train.sources.push_back({(setup.folder / "more.jsonl").string()});
  auto two = setup.loader(o), fresh = setup.loader(o);
  const auto error = failure([&] { two->restore(one->state()); });
  REQUIRE(error);
  CHECK(error->message() == "the run drew from 1 data sources; now there are 2");
  CHECK(std::string(error->what()).find("--accept-changes") != std::string::npos);
  two->restore(one->state(), true);
  CHECK(two->counts() == LoaderCounts{});
  CHECK(batches(*two, 9) == batches(*fresh, 9));
}

TEST_CASE("loader: bad samples are skipped, counted each time and listed once") {
  Setup setup;
  auto o = setup.options({{line("good", "z") + "broken\n" + line("long", std::string(120, 'z')) +
                               image_line("gone", "nowhere.png") + line("too long", std::string(300, 'z')),
                           1}});
  o.max_bad_fraction = 1;
  auto loader = setup.loader(o, 64);
  for (int i = 0; i < 12; ++i)
    for (const auto& id : ids_of(loader->next_batch())) CHECK(id == "good");
  REQUIRE(setup.listed.size() == 4);
  std::map<int64_t, BadSample> by_line;
  for (const auto& bad : setup.listed) by_line[bad.line] = bad;
  CHECK(by_line.at(2).reason.find("JSON") != std::string::npos);
  CHECK(by_line.at(3).reason.find("a batch holds 64") != std::string::npos);
  CHECK(by_line.at(4).reason.find("nowhere.png") != std::string::npos);
  CHECK(by_line.at(5).reason.find("at most 200 fit") != std::string::npos);
  CHECK(by_line.at(4).id == "gone");
  CHECK(by_line.at(3).file == (setup.folder / "set0.jsonl").string());
  CHECK(loader->counts().bad > 40);
}

TEST_CASE("loader: the limits stop it, in time and in words") {
  Setup setup;
  const auto run = [&](DataOptions o) {
    auto loader = setup.loader(o);
    const auto error = failure([&] { batches(*loader, 10000); });
    REQUIRE(error);
    CHECK(error->kind() == ErrorKind::data);
    return std::pair(error->message(), loader->counts());
  };
  auto o = setup.options({{"x\nx\nx\nx\n", 1}});
  o.train.sources[0].source = "json_lines", o.train.sources[0].format = "messages";  // which nothing shows
  o.max_consecutive_bad = 3;
  CHECK(run(o).second.consecutive_bad == 3);
  o.max_consecutive_bad = 1000000000, o.max_bad_fraction = 1;
  CHECK(run(o).second.bad == 4);  // all there are: a set without a good sample never hangs
  o = setup.options({{lines("a", 8) + "x\nx\n", 1}});
  o.max_bad_fraction = 0.15;
  const auto counts = run(o).second;
  CHECK(counts.good + counts.bad >= 200);  // judged from here on, at the next bad one
  CHECK(counts.good + counts.bad < 220);
}

TEST_CASE("loader: an error that is not a fault of the data ends the run, from any thread") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  for (const std::string fault : {"plugin", "foreign"}) {
    Setup setup("llm = { plugin = \"test_lm\" }\nstreams.image = { encoder = { plugin = \"test_pixels\", fault = \"" +
                fault + "\" }, connector = { plugin = \"test_linear\" } }");
    auto o = setup.options({{image_line("i", std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/rgba.png"), 1}});
    o.threads = 4;
    auto loader = setup.loader(o);
    if (fault == "plugin") {
      const auto error = failure([&] { loader->next_batch(); });
      REQUIRE(error);
      CHECK(error->kind() == ErrorKind::plugin);
    } else {
      CHECK_THROWS_AS(loader->next_batch(), std::runtime_error);
    }
    CHECK(setup.listed.empty());
  }
}

TEST_CASE("loader: it ends while threads are at work, and before it began") {
  Setup setup;
  auto o = setup.options({{lines("a", 50), 1}});
  o.threads = 8, o.prefetch = 1000;
  setup.loader(o);
  for (int i = 0; i < 20; ++i) setup.loader(o)->next_batch();
}

TEST_CASE("loader: the fingerprint is of the files, the seed and the shuffling") {
  Setup setup;
  auto o = setup.options({{lines("a", 5), 1}});
  const auto first = setup.loader(o)->fingerprint();
  CHECK(setup.loader(o)->fingerprint() == first);
  CHECK(setup.loader(o, 128, 2)->fingerprint() != first);
  o.shuffle = false;
  CHECK(setup.loader(o)->fingerprint() != first);
  o = setup.options({{lines("a", 6), 1}});
  CHECK(setup.loader(o)->fingerprint() != first);
  const auto error = failure([&] { setup.loader(DataOptions{}); });
  REQUIRE(error);
  CHECK(error->kind() == ErrorKind::config);
}

TEST_CASE("preparing: media take the places that they announce, between the text before and after") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  Sample sample;
  sample.media = {{Modality::image, std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/rgba.png", ""}};
  sample.turns = {{"user", {{"ab", -1}, {"", 0}, {"cd", -1}}}, {"assistant", {{"red", -1}}}};
  Preparer roomy(*setup.model, setup.prompts, setup.cache, {}, 100000);
  const auto prepared = roomy.prepare(sample, Purpose::training);
  REQUIRE(prepared.media.size() == 1);
  const auto& media = prepared.media[0];
  CHECK(media.item.tokens == 24 * 32);
  const auto ids = [&](int64_t begin, int64_t end) {
    return setup.prompts.tokenizer().decode(
        std::vector<int32_t>(prepared.ids.begin() + begin, prepared.ids.begin() + end), false);
  };
  CHECK(ids(0, media.position).ends_with("user\nab"));
  CHECK(ids(media.position + media.item.tokens, prepared.tokens()).starts_with("cd<|im_end|>"));
  for (int64_t i = 0; i < media.item.tokens; ++i)
    CHECK_FALSE(prepared.supervised[static_cast<size_t>(media.position + i)]);
  CHECK(failure([&] { setup.preparer.prepare(sample, Purpose::training); })->message().find("at most 200 fit") !=
        std::string::npos);
}

TEST_CASE("preparing: what the chat template gets of a turn and does not mention is told as unread") {
  Setup setup;
  Sample sample;
  sample.unread = {"bbox"};
  sample.turns = {{"user", {{"what?"}}}, {"assistant", {{"red"}}}, {"tool", {{"3"}}}};
  CHECK(setup.preparer.unread(sample) == sample.unread);
  sample.turns[1].more = R"({"thinking": "hm", "role": "x"})";  // the template knows "role"
  sample.turns[2].more = R"({"tool_call_id": "c"})";
  CHECK(setup.preparer.unread(sample) == std::set<std::string>{"bbox", "turns: thinking"});
  sample.candidates = {{{{"assistant", {{"red"}}, {}, true, {}, R"({"reasoning": "hm"})"}}}};
  CHECK(setup.preparer.unread(sample) == std::set<std::string>{"bbox", "turns: reasoning", "turns: thinking"});
}

TEST_CASE("preparing: a sample that is too long for the model is told what helps") {
  Setup setup;
  Sample sample;
  sample.turns = {{"user", {{"what?"}}}, {"assistant", {{std::string(300, 'z')}}}};
  const auto said = failure([&] { setup.preparer.prepare_group(sample); });
  REQUIRE(said);
  CHECK(std::string(said->what()).find("shorten the sample, or give fewer or smaller media") != std::string::npos);
  CHECK(std::string(said->what()).find("tokens_per_batch") == std::string::npos);
}

TEST_CASE("preparing: answers to one prompt share their media, by modality; the limit of tokens is each sequence's") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  const auto media = std::filesystem::path(ANTIPHON_SOURCE_DIR) / "tests/media";
  Sample sample;
  sample.media = {{Modality::image, media / "rgba.png"}};
  sample.turns = {{"user", {{"", 0}, {"what?"}}}};
  sample.candidates.resize(2);
  for (auto& candidate : sample.candidates) candidate.turns.push_back({"assistant", {{"red"}}});
  const int64_t longest = 24 * 32 + 60;
  Preparer roomy(*setup.model, setup.prompts, setup.cache, {}, longest);
  const auto group = roomy.prepare_group(sample);
  REQUIRE(group.sequences.size() == 2);
  CHECK(group.tokens() > longest);
  const auto& first = group.sequences[0].media.at(0).item.inputs.at(0).at(0);
  CHECK(first.data_ptr() == group.sequences[1].media.at(0).item.inputs.at(0).at(0).data_ptr());
  CHECK(failure([&] { check_fits(group, group.tokens() - 1); })->message().find("in 2 sequences; a batch holds") !=
        std::string::npos);
  CHECK_NOTHROW(check_fits(group, group.tokens()));
  // A file that is both a sound and, by mistake, a picture.
  sample.media = {{Modality::audio, media / "tone.wav"}, {Modality::image, media / "tone.wav"}};
  sample.turns = {{"user", {{"", 0}, {"", 1}}}};
  CHECK(failure([&] { roomy.prepare_group(sample); })->kind() == ErrorKind::data);
}

TEST_CASE("preparing: a sample has a time of its own, and is bad when it is over") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  const auto wav = read_file(std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/tone.wav", ErrorKind::data);
  int read = 0;
  const auto bytes = MediaBytes::made(
      [&] {
        const SampleTime over(std::chrono::milliseconds(0));  // within that of the sample it does nothing
        SampleTime::check();
        return ++read, wav;
      },
      "tone", "tone.wav");
  Sample sample, compared;
  sample.id = "s", sample.media = {{Modality::audio, bytes}};
  sample.turns = {{"user", {{"", 0}, {"low?"}}}, {"assistant", {{"yes"}}}};
  compared = sample, compared.turns.pop_back();
  compared.candidates.resize(2);
  for (auto& candidate : compared.candidates) candidate.turns.push_back({"assistant", {{"yes"}}});
  const Preparer roomy(*setup.model, setup.prompts, setup.cache, {}, 100000);
  const std::map<std::string, std::function<void()>> ways{
      {"training", [&] { roomy.prepare(sample, Purpose::training); }},
      {"generation", [&] { roomy.prepare(sample, Purpose::generation); }},
      {"a group", [&] { roomy.prepare_group(sample); }},
      {"candidates", [&] { roomy.prepare_group(compared); }},
      {"a prompt", [&] { roomy.prepare_prompt(sample, {}); }},
      {"media of its own", [&] {
         roomy.prepare_with(sample, Purpose::generation, [&](size_t i) { return roomy.read(sample.media[i], "s"); });
       }}};
  for (const auto& [name, way] : ways) {
    INFO(name);
    const int before = read;
    const auto error = failure(way);
    CHECK_FALSE(error);
    CHECK(read == before + 1);
    const SampleTime over(std::chrono::milliseconds(0));
    const auto late = failure(way);
    REQUIRE(late);
    CHECK(late->kind() == ErrorKind::data);
    CHECK(late->message() == "preparing the sample took longer than the 0 s that one sample may take");
    CHECK(read == before + 1);
  }
  auto frame = sample.media[0];
  frame.item =
      std::make_shared<const MediaItem>(MediaItem{Modality::audio, {}, media::decode_audio(wav, 16000, "wav")});
  CHECK_FALSE(failure([&] { roomy.read(frame, "s"); }));
  const SampleTime over(std::chrono::milliseconds(0));
  CHECK(failure([&] { roomy.read(frame, "s"); }));
}

TEST_CASE("preparing: a piece of a sound is what stands there in the whole, under a name of its own") {
  if (media::backend_version().starts_with("off")) SKIP("built without FFmpeg");
  Setup setup;
  MediaRef ref{Modality::audio, std::string(ANTIPHON_SOURCE_DIR) + "/tests/media/tone.wav"};
  Audio heard;
  const auto content = [&] {
    return setup.preparer.read(ref, "s", [&](const auto&, const auto& item) { heard = item.audio; }).content;
  };
  const auto whole_content = content();
  const auto whole = heard;
  ref.begin = 0.1, ref.seconds = 0.2;
  const auto piece_content = content();
  CHECK(piece_content != whole_content);
  const auto at = whole.samples.begin() + whole.sample_rate / 10;
  CHECK(heard.samples == std::vector<float>(at, at + whole.sample_rate / 5));
  ref.begin = 0.11;
  CHECK(content() != piece_content);
  for (const double begin : {-1.0, 1e6, std::nan("")}) {
    ref.begin = begin;
    CHECK(failure([&] { content(); })->message().find("is not within a sound") != std::string::npos);
  }
  // Seconds that a record says may be rounded, but not be another file's.
  const double end = whole.seconds();
  ref.begin = 0.1, ref.seconds = end;
  CHECK_NOTHROW(content());
  CHECK(heard.samples == std::vector<float>(at, whole.samples.end()));
  ref.seconds = end + 0.2;
  CHECK(failure([&] { content(); })->message().find("the file is cut short, or it is another one") !=
        std::string::npos);
}

TEST_CASE("preparing: a sample has as many answers as the objective compares") {
  Sample sample;
  sample.candidates.resize(1);
  CHECK(failure([&] { check_answers(sample, 2); })->message() ==
        "the record has 1 candidate; the objective compares 2");
  sample.candidates.resize(3);
  CHECK(failure([&] { check_answers(sample, 1); })->message() ==
        "the record has 3 candidates; the objective learns one answer");
  sample.candidates.clear();
  CHECK(failure([&] { check_answers(sample, 2); })->message() ==
        "the record has no candidates; the objective compares 2");
  CHECK_NOTHROW(check_answers(sample, 1));
}

TEST_CASE("preparing: supervised positions are the answers, labels the tokens that follow") {
  Setup setup;
  Sample sample;
  sample.id = "s";
  sample.media = {{Modality::image, "/nowhere.png", ""}};
  sample.turns = {{"user", {{"", 0}, {"What", -1}}},
                  {"assistant", {{"red", -1}}},
                  {"user", {{"sure?", -1}}},
                  {"assistant", {{"green", -1}}}};
  CHECK(failure([&] { setup.preparer.prepare(sample, Purpose::training); })->kind() == ErrorKind::data);
  sample.turns[0].parts.erase(sample.turns[0].parts.begin());
  sample.media.clear();
  const auto prepared = setup.preparer.prepare(sample, Purpose::training);
  std::vector<int32_t> answers;
  for (size_t i = 0; i < prepared.ids.size(); ++i)
    if (prepared.supervised[i]) answers.push_back(static_cast<int32_t>(prepared.ids[i]));
  CHECK(setup.prompts.tokenizer().decode(answers, false) == "red<|im_end|>green<|im_end|>");
  auto batch = pack({prepared, prepared}, 64);
  CHECK(batch.supervised() == 2 * prepared.supervised_count());
  for (const auto& sequence : batch.sequences) CHECK(sequence.supervised == prepared.supervised_count());
  for (int64_t i = 0; i < batch.supervised(); ++i) {  // the label is the token after its position
    const auto position = batch.supervised_n[i].item<int64_t>();
    CHECK(batch.labels_n[i].item<int64_t>() == batch.ids_t[position + 1].item<int64_t>());
    CHECK(batch.positions_at[0][position].item<int64_t>() + 1 < prepared.tokens());
  }
  const auto open = setup.preparer.prepare(sample, Purpose::generation);
  CHECK(open.tokens() < prepared.tokens());
  CHECK(setup.prompts.tokenizer()
            .decode(std::vector<int32_t>(open.ids.end() - 3, open.ids.end()), false)
            .ends_with("assistant\n"));
  sample.turns = {{"assistant", {{"alone", -1}}}};
  CHECK(failure([&] { setup.preparer.prepare(sample, Purpose::generation); })->kind() == ErrorKind::data);
}
