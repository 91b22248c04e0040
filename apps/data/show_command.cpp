// antiphon data show FILE: which samples, and how they are printed.
#include <fmt/format.h>
#include <unistd.h>

#include <antiphon/base/log.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/standard_streams.h>
#include <antiphon/base/strings.h>
#include <antiphon/run/composition.h>
#include <common/command.h>
#include <data/show.h>
#include <data/sources.h>

#include <cstdlib>

namespace antiphon::apps {
namespace {

struct ShowFlags {
  std::string file, source, id, color = "auto";
  std::vector<std::string> sets;
  int64_t line = 0, count = 1, epoch = 0;
  bool no_color = false, tokens = false;
};

bool wants_color(const ShowFlags& flags) {
  if (flags.no_color || flags.color == "never") return false;
  const char* refused = std::getenv("NO_COLOR");  // no-color.org
  return flags.color == "always" || (isatty(STDOUT_FILENO) == 1 && (!refused || !*refused));
}

struct Place {
  size_t set = 0;
  int64_t index = 0;
};

Place place_of_line(const data::RecordSet& set, int64_t line) {
  if (const auto index = set.at_line(line)) return {0, *index};
  fail(ErrorKind::data, fmt::format("{} has no sample at line {}", set.path().string(), line),
       fmt::format("its {} samples stand at lines {} to {}", set.size(), set.line(0), set.line(set.size() - 1)));
}

Place place_of_id(const std::vector<data::RecordSet>& sets, const std::string& id) {
  std::vector<std::string> known;
  for (size_t s = 0; s < sets.size(); ++s)
    for (int64_t i = 0; i < sets[s].size(); ++i) {
      try {
        known.push_back(sets[s].sample(i).id);
      } catch (const Error&) {
        continue;  // a sample that cannot be read has no id
      }
      if (known.back() == id) return {s, i};
    }
  const auto near = nearest(id, known);
  fail(ErrorKind::data,
       fmt::format("no sample has the id '{}'{}", shown(id),
                   near.empty() ? "" : "; did you mean '" + shown(near) + "'?"),
       "ids are those of the lines of the sources; --source names another file");
}

Place first_place(const std::vector<data::RecordSet>& sets, const ShowFlags& flags) {
  if (!flags.id.empty()) return place_of_id(sets, flags.id);
  return flags.line > 0 ? place_of_line(sets.front(), flags.line) : Place{};
}

void check_file(const std::string& file) {
  if (!is_data(file)) return;
  fail(ErrorKind::config, shown(file) + " holds records; which model is to read them?",
       "name its configuration, and these records with --source FILE");
}

std::vector<data::RecordSet> open_sets(const run::Composition& composition, const ShowFlags& flags) {
  auto sources = composition.config.data.train.sources;
  if (!flags.source.empty()) sources = std::vector<data::SourceOptions>{{flags.source}};
  if (sources.empty()) fail(ErrorKind::config, "the configuration names no training data", "name a file with --source");
  std::vector<data::RecordSet> sets;
  for (const auto& source : sources) sets.emplace_back(source, answers_compared(composition.config));
  return sets;
}

Shown read(const data::Preparer& preparer, const Sample& sample, data::AugmentSeed seed) {
  Shown shown;
  const data::OnDecoded decoded = [&](const auto& ref, const auto& item) {
    shown.names.push_back(ref.bytes.is_file() ? ref.bytes.file().filename().string() : ref.bytes.name());
    shown.facts.push_back(facts_of(ref, item));
  };
  shown.prepared = preparer.prepare(sample, data::Purpose::training, decoded, seed);
  if (!shown.prepared.media.empty() && shown.prepared.media.front().is_prompt())  // comes first and has no file
    shown.names.insert(shown.names.begin(), ""), shown.facts.insert(shown.facts.begin(), MediaFacts());
  return shown;
}

void print(const Shown& shown, const run::Composition& composition, const ShowFlags& flags) {
  const auto& tokenizer = composition.prompts.tokenizer();
  fmt::print("{}\n{}{}{}", shown_text(shown, tokenizer, wants_color(flags)), shown_counts(shown), shown_changes(shown),
             shown_labels(shown, tokenizer, flags.tokens));
}

void print_too_long(int64_t longest, int64_t all, const run::Composition& composition) {
  const auto context = composition.model->lm().context(), budget = composition.config.train.tokens_per_batch;
  if (longest <= context && all <= budget) return;
  fmt::print("too long: at most {} tokens fit into {}, so training skips this sample\n",
             all > budget ? budget : context, all > budget ? "a batch" : "the model's context");
}

// Whether the sample is good; what is wrong with it is reported.
bool show_one(const Reader& reader, const run::Composition& composition, const data::RecordSet& set, const Place& place,
              const ShowFlags& flags) {
  const auto index = place.index;
  const auto where = fmt::format("{}:{}", shown(set.path().string()), set.line(index));
  try {
    const auto seed = reader.seed_of(place.set, index, flags.epoch);
    const auto sample = set.sample(index, seed);
    int64_t longest = 0, all = 0;
    for (const auto& sequence : data::sequences_of(sample)) {
      const auto content = read(reader.preparer(), sequence, seed);
      fmt::print("{} ({})\n", where, shown(sequence.id));
      print(content, composition, flags);
      longest = std::max(longest, content.prepared.tokens()), all += content.prepared.tokens();
    }
    print_too_long(longest, all, composition);
    return true;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    log::error(fmt::format("{}: {}", where, error.what()));
    return false;
  }
}

int show(const ShowFlags& flags) {
  check_file(flags.file);
  const run::Composition composition(flags.file, flags.sets);
  const Reader reader(composition);
  const auto sets = open_sets(composition, flags);
  auto place = first_place(sets, flags);
  bool good = true;
  for (int64_t n = 0; n < flags.count && place.set < sets.size(); ++n) {
    if (n > 0) fmt::print("\n");
    const auto& set = sets[place.set];
    good &= show_one(reader, composition, set, place, flags);
    push_stdout();
    if (++place.index == set.size()) place = {place.set + 1, 0};
  }
  return good ? 0 : static_cast<int>(ErrorKind::data);
}

}  // namespace

void add_data_show(CLI::App& data, Action& action) {
  auto* command = data.add_subcommand("show", "print samples as tokens: what is read, what is predicted");
  auto flags = std::make_shared<ShowFlags>();
  command->add_option("file", flags->file, "a TOML configuration, or the folder of a run")->required();
  command->add_option("--set", flags->sets, "override one value: --set model.llm.chat_template=x.jinja")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  command->add_option("--source", flags->source, "a .jsonl file, in place of those of data.train");
  auto* line = command->add_option("--line", flags->line, "line of the first source to begin with")->check(at_least(1));
  command->add_option("--id", flags->id, "id of the sample to begin with")->excludes(line);
  command
      ->add_option("--epoch", flags->epoch,
                   "the pass over the data, from 0, whose changes of media and whose questions to show")
      ->check(at_least(0))
      ->capture_default_str();
  command->add_option("--count", flags->count, "samples to show")->check(at_least(1))->capture_default_str();
  command->add_option("--color", flags->color, "auto (on a terminal), always or never; without, « » mark the answers")
      ->check(CLI::IsMember({"auto", "always", "never"}))
      ->capture_default_str();
  command->add_flag("--no-color", flags->no_color, "the same as --color never");
  command->add_flag("--tokens", flags->tokens, "list every token, each with what is predicted there");
  command->callback([flags, &action] { action = [flags] { return show(*flags); }; });
}

}  // namespace antiphon::apps
