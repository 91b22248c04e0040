#include <antiphon/text/template/chat_template.h>
#include <antiphon/text/template/message_keys.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/gguf.h>
#include <antiphon/base/paths.h>
#include <antiphon/base/sample_time.h>
#include <antiphon/base/shown.h>
#include <antiphon/base/strings.h>
#include <antiphon/text/jinja/run.h>
#include <antiphon/text/template/gguf_template.h>
#include <antiphon/text/template/tekken_template.h>
#include <antiphon/text/tokenizer/json_fields.h>
#include <antiphon/text/tokenizer/tekken_file.h>

namespace antiphon::text {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t max_source = 256 << 10;
constexpr const char* needle = "antiphon probe";
constexpr const char* simpler = "take the template of the original model, or write a simpler one";

std::string default_template(const nlohmann::json& config) {
  const JsonFields fields(config, "tokenizer_config.json");
  if (!fields.has("chat_template")) return {};
  if (fields.any("chat_template").is_string()) return fields.text("chat_template");
  for (const auto& entry : fields.array("chat_template")) {
    const JsonFields named(entry, "tokenizer_config.json: chat_template");
    if (named.text("name") == "default") return named.text("template");
  }
  return {};
}

// The size of the strings, plus some bytes for each value around them.
size_t weight(const Json& json) {
  if (json.is_string()) return 16 + json.get_ref<const std::string&>().size();
  size_t sum = 16;
  for (const auto& [key, value] : json.items())
    if (json.is_structured()) sum += key.size() + weight(value);
  return sum;
}

// Ordinary templates need at most a tenth of this for a conversation.
jinja::Limits limits_for(const Json& messages, const Json* tools) {
  const size_t bytes = weight(messages) + (tools ? weight(*tools) : 0);
  jinja::Limits limits;
  limits.steps += 64 * bytes + 2000 * messages.size();
  limits.bytes = (24 << 20) + 16 * bytes + 4096 * messages.size();
  limits.output += 2 * bytes;
  return limits;
}

[[noreturn]] void fail_with(const jinja::Problem& problem, const std::string& name) {
  const auto words = shown(problem.message, kWordsLetters);
  const auto place = problem.line > 0 ? fmt::format(" (line {})", problem.line) : std::string();
  switch (problem.cause) {
    case jinja::Cause::malformed:
      fail(ErrorKind::config, fmt::format("{} is malformed: {}{}", name, words, place), simpler);
    case jinja::Cause::limit: fail(ErrorKind::data, fmt::format("{} {}{}", name, words, place), simpler);
    case jinja::Cause::refused:
      fail(ErrorKind::data, fmt::format("{} refuses the conversation: {}", name, words),
           "change the roles or their order in the data, or the template");
    case jinja::Cause::failed: break;
  }
  fail(ErrorKind::data, fmt::format("{} failed: {}{}", name, words, place),
       "check that the conversation has the roles and the form that this template expects");
}

}  // namespace

struct ChatTemplate::State {
  std::string source, name;
  std::map<std::string, std::string> special_tokens;
  jinja::Tree tree;
  bool lists = false;

  std::string render(const Json& messages, const Options& options, const Json& variables) const;
  bool shows_needle(const Json& content) const;
};

std::string ChatTemplate::State::render(const Json& messages, const Options& options, const Json& variables) const {
  jinja::Run run(tree, limits_for(messages, options.tools), options.now);
  auto& heap = run.heap();
  for (const auto& [key, token] : special_tokens) run.define(key, jinja::text_value(heap, token));
  run.define("messages", jinja::from_json(heap, messages));
  run.define("add_generation_prompt", jinja::Value(options.add_generation_prompt));
  for (const auto* absent : {"tools", "documents"}) run.define(absent, {});
  if (options.tools) run.define("tools", jinja::from_json(heap, *options.tools));
  for (const auto& [key, value] : variables.items()) run.define(key, jinja::from_json(heap, value));
  return run.render();
}

// A template that exceeds a limit on this little is refused at once.
bool ChatTemplate::State::shows_needle(const Json& content) const {
  try {
    return render(Json::array({{{"role", "user"}, {"content", content}}}), {}, {}).find(needle) != std::string::npos;
  } catch (const jinja::Problem& problem) {
    if (problem.cause == jinja::Cause::limit) throw;
    return false;
  }
}

ChatTemplate::ChatTemplate(std::shared_ptr<const State> state)
    : state_(std::move(state)), variables_(std::make_shared<const Json>(Json::object())) {}

ChatTemplate ChatTemplate::with(const Json& variables) const {
  if (!variables.is_object())
    fail(ErrorKind::config,
         fmt::format("the variables of a chat template are a {}; expected a table", variables.type_name()),
         "model.llm.template_variables = { enable_thinking = false }");
  for (const auto& [key, value] : variables.items()) {
    if (key == "messages" || key == "add_generation_prompt" || key == "tools" || key == "documents")
      fail(ErrorKind::config, fmt::format("'{}' is not a variable that model.llm.template_variables can set", key),
           "take it out: it is the conversation's own");
    if (!mentions(key))
      fail(ErrorKind::config, fmt::format("{} has no variable '{}'", name(), shown(key)),
           "correct its name in model.llm.template_variables, or take it out");
  }
  auto copy = *this;
  copy.variables_ = std::make_shared<const Json>(variables);
  return copy;
}

ChatTemplate ChatTemplate::from_source(std::string_view source,
                                       const std::map<std::string, std::string>& special_tokens, std::string name) {
  auto state = std::make_shared<State>();
  state->name = std::move(name);
  if (source.size() > max_source)
    fail(ErrorKind::config,
         fmt::format("{} has {} bytes; at most {} are allowed", state->name, source.size(), max_source), simpler);
  if (!is_utf8(source)) fail(ErrorKind::config, state->name + " is not well-formed UTF-8", "save it as UTF-8");
  state->source = std::string(source);
  state->special_tokens = special_tokens;
  try {
    jinja::parse(source, state->tree);
    state->lists =
        !state->shows_needle(needle) && state->shows_needle(Json::array({{{"type", "text"}, {"text", needle}}}));
  } catch (const jinja::Problem& problem) {
    fail_with(problem, state->name);
  }
  return ChatTemplate(std::move(state));
}

ChatTemplate ChatTemplate::load(const std::filesystem::path& path,
                                const std::map<std::string, std::string>& special_tokens) {
  return with_context("loading the chat template of " + path.string(), [&] {
    constexpr uint64_t limit = 32 << 20;
    const bool is_file = path_exists(path, ErrorKind::config) && !is_folder(path, ErrorKind::config);
    const auto file = is_file ? path : path / "chat_template.jinja";
    // First that of processors of multimodal models, before they had a file of their own; then that of tokenizers.
    const auto processor = path / "chat_template.json", config = path / "tokenizer_config.json";
    const auto tekken = path / kTekkenName;
    std::string source;
    if (is_file && is_gguf(path)) {
      source = gguf_chat_template(path);
    } else if (path_exists(file, ErrorKind::config)) {
      source = read_file(file, ErrorKind::config, limit);
    } else if (!is_file && path_exists(processor, ErrorKind::config)) {
      source = default_template(parse_file(read_file(processor, ErrorKind::config, limit), "chat_template.json"));
    } else if (path_exists(config, ErrorKind::config)) {
      source = default_template(parse_file(read_file(config, ErrorKind::config, limit), "tokenizer_config.json"));
    }
    if (source.empty() && !is_file && path_exists(tekken, ErrorKind::config)) source = tekken_chat_template(tekken);
    if (source.empty())
      fail(ErrorKind::config, fmt::format("{} has no chat template", path.string()),
           "put the template of the model's instruction-tuned version there as chat_template.jinja, or name a file in "
           "model.llm.chat_template");
    return from_source(source, special_tokens, fmt::format("the chat template of {}", path.string()));
  });
}

std::string ChatTemplate::render(const Json& messages, const Options& options) const {
  SampleTime::check();
  try {
    return state_->render(messages, options, *variables_);
  } catch (const jinja::Problem& problem) {
    fail_with(problem, state_->name);
  }
}

const std::string& ChatTemplate::name() const { return state_->name; }
bool ChatTemplate::mentions(std::string_view name) const { return source().find(name) != std::string::npos; }
bool ChatTemplate::reads_of_messages(std::string_view key) const { return text::reads_of_messages(source(), key); }
bool ChatTemplate::wants_lists() const { return state_->lists; }
const std::string& ChatTemplate::source() const { return state_->source; }

}  // namespace antiphon::text
