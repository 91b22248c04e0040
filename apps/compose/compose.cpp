// antiphon compose DIRECTORY: a whole model's directory as the TOML that composes it, to change and to save.
#include <fmt/format.h>

#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/model/model_spec.h>
#include <antiphon/model/whole_model.h>
#include <common/command.h>

namespace antiphon::apps {
namespace {

// Slots on one line each, so that one line swaps a part.
std::string inline_text(const config::Value& value) {
  const auto* table = value.get_if<config::Value::Table>();
  const auto* list = value.get_if<config::Value::Array>();
  if (list && !list->empty() && list->front().get_if<config::Value::Table>()) {
    std::vector<std::string> tables;
    for (const auto& one : *list) tables.push_back(inline_text(one));
    return fmt::format("[{}]", join(tables, ", "));
  }
  if (!table) {
    const auto text = config::to_toml(config::Value::Table{{"x", value}});
    return text.substr(4, text.size() - 5);  // without "x = " and the line's end
  }
  std::vector<std::string> pairs;
  for (const auto& [key, member] : *table) {
    const auto place = key == "plugin" ? pairs.begin() : pairs.end();
    pairs.insert(place, fmt::format("{} = {}", key, inline_text(member)));
  }
  return fmt::format("{{ {} }}", join(pairs, ", "));
}

std::string text_of(const config::Value& model) {
  std::string text = "[model]\n";
  const auto& table = *model.get_if<config::Value::Table>();
  for (const auto& [key, value] : table)
    if (key != "streams") text += fmt::format("{} = {}\n", key, inline_text(value));
  if (const auto* streams = model.find("streams"))
    for (const auto& [name, stream] : *streams->get_if<config::Value::Table>()) {
      text += fmt::format("\n[model.streams.{}]\n", name);
      for (const auto& [key, value] : *stream.get_if<config::Value::Table>())
        text += fmt::format("{} = {}\n", key, inline_text(value));
    }
  return text;
}

int run(const std::string& directory) {
  const auto model = model::compose(directory);
  fmt::print("# {}\n{}", shown(directory), text_of(model));
  return 0;
}

}  // namespace

void add_compose(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "compose",
      "print the TOML that composes a whole model's Hugging Face directory, so that one part can be swapped");
  auto directory = std::make_shared<std::string>();
  command
      ->add_option("DIRECTORY", *directory,
                   "of a model, with config.json, model.safetensors and tokenizer.json, or of a PEFT adapter")
      ->required();
  command->callback([directory, &action] { action = [directory] { return run(*directory); }; });
}

}  // namespace antiphon::apps
