#include <antiphon/text/chat_template.h>

#include <regex>
#include <streambuf>
#include <string>
#include <string_view>

namespace minja {
// The engine strips four ASCII blanks where Python strips all white space. Its string methods pass variables, and so
// take this overload.
std::string strip(std::string& text, std::string& characters, bool left = true, bool right = true);
}  // namespace minja

// The parser looks for each kind of token (its parameter `regex`) in all the rest of the template, and then asks
// whether what it found stands at the beginning; that takes minutes for a large template. Here it looks at the
// beginning only.
constexpr std::regex_constants::match_flag_type search_flags(std::string_view pattern) {
  return pattern == "regex" ? std::regex_constants::match_continuous : std::regex_constants::match_default;
}
#define regex_search(first, last, match, pattern) regex_search(first, last, match, pattern, search_flags(#pattern))
#include <minja/minja.hpp>
#undef regex_search

#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/base/files.h>
#include <antiphon/base/shown.h>
#include <antiphon/text/json_fields.h>
#include <antiphon/text/template_source.h>
#include <antiphon/text/unicode.h>

namespace antiphon::text {
namespace {

using minja::Value;
using Clock = std::chrono::system_clock;

constexpr size_t base_output = 1 << 20, max_steps = 1'000'000, max_stack = 2 << 20;
constexpr int64_t max_range = 100'000;
constexpr const char* needle = "antiphon probe";
constexpr const char* simpler = "take the template of the original model, or write a simpler one";

// Why a rendering ended; not a std::exception, so that the engine lets it pass unchanged.
struct Stop {
  std::string message, fix;
};

bool python_space(char32_t c) { return is_space(c) || (c >= 0x1C && c <= 0x1F); }

std::string python_strip(std::string_view text, std::string_view characters, bool left, bool right) {
  const auto drop = [&](size_t at) {
    const auto [c, length] = code_point_at(text, at);
    return characters.empty() ? python_space(c) : characters.find(text.substr(at, length)) != std::string_view::npos;
  };
  while (left && !text.empty() && drop(0)) text.remove_prefix(code_point_at(text, 0).length);
  while (right && !text.empty() && drop(previous_start(text, text.size())))
    text.remove_suffix(text.size() - previous_start(text, text.size()));
  return std::string(text);
}

// Counts look-ups and watches the stack, which a template exhausts by loops and by macros that call themselves.
class LimitedContext : public minja::Context {
 public:
  LimitedContext(Value&& values, const std::shared_ptr<minja::Context>& parent, size_t steps)
      : minja::Context(std::move(values), parent),
        steps_(steps),
        base_(static_cast<char*>(__builtin_frame_address(0))) {}
  Value get(const Value& key) override { return step(), minja::Context::get(key); }
  Value& at(const Value& key) override { return step(), minja::Context::at(key); }
  bool contains(const Value& key) override { return step(), minja::Context::contains(key); }

 private:
  void step() {
    if (steps_-- == 0) throw Stop{"runs too long", simpler};
    if (static_cast<size_t>(std::abs(base_ - static_cast<char*>(__builtin_frame_address(0)))) > max_stack)
      throw Stop{"nests too deep", simpler};
  }
  size_t steps_;
  char* base_;
};

// Takes what the template writes, up to a limit.
class LimitedOutput : public std::streambuf {
 public:
  explicit LimitedOutput(size_t limit) : limit_(limit) {}
  std::string take() { return std::move(text_); }

 protected:
  std::streamsize xsputn(const char* bytes, std::streamsize count) override {
    if (text_.size() + static_cast<size_t>(count) > limit_)
      throw Stop{fmt::format("writes more than {} bytes", limit_), simpler};
    text_.append(bytes, static_cast<size_t>(count));
    return count;
  }
  int_type overflow(int_type c) override {
    const char byte = traits_type::to_char_type(c);
    return xsputn(&byte, 1), c;
  }

 private:
  size_t limit_;
  std::string text_;
};

// Where the engine reports an error, the lines after the first quote the template.
std::string first_line(std::string_view text) { return shown(text.substr(0, text.find('\n')), kWordsLetters); }

Value raise_exception() {
  return Value::callable([](const std::shared_ptr<minja::Context>&, minja::ArgumentsValue& args) -> Value {
    const auto words = args.args.empty() ? std::string("no reason given") : args.args[0].to_str();
    throw Stop{"refuses the conversation: " + shown(words, kWordsLetters),
               "change the roles or their order in the data, or the template"};
  });
}

Value trim() {
  return Value::callable([](const std::shared_ptr<minja::Context>&, minja::ArgumentsValue& args) -> Value {
    if (args.args.empty() || args.args[0].is_null()) return Value();
    const auto characters = args.args.size() > 1 ? args.args[1].to_str() : std::string();
    return Value(python_strip(args.args[0].to_str(), characters, true, true));
  });
}

// The engine builds the whole list, and never ends with a step of 0.
Value bounded_range(const Value& range) {
  return Value::callable([range](const std::shared_ptr<minja::Context>& context, minja::ArgumentsValue& args) -> Value {
    const auto check = [](const Value& value, bool step) {
      const auto number = value.get<int64_t>();
      if (std::abs(number) > max_range || (step && number == 0))
        throw Stop{fmt::format("asks for range({})", number), simpler};
    };
    if (args.args.size() > 3) throw Stop{"gives range() too many numbers", simpler};
    for (size_t i = 0; i < args.args.size(); ++i) check(args.args[i], i == 2);
    for (const auto& [name, value] : args.kwargs) check(value, name == "step");
    return range.call(context, args);
  });
}

Value strftime_now(Clock::time_point now) {
  return Value::callable([now](const std::shared_ptr<minja::Context>&, minja::ArgumentsValue& args) -> Value {
    args.expectArgs("strftime_now", {1, 1}, {0, 0});
    const auto time = Clock::to_time_t(now);
    std::tm local{};
    localtime_r(&time, &local);
    char text[256];
    return Value(std::string(text, std::strftime(text, sizeof text, args.args[0].get<std::string>().c_str(), &local)));
  });
}

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

}  // namespace

struct ChatTemplate::State {
  std::string source;
  std::map<std::string, std::string> special_tokens;
  std::shared_ptr<minja::TemplateNode> root;
  std::shared_ptr<minja::Context> builtins = minja::Context::builtins();
  bool lists = false;

  std::string render(const nlohmann::ordered_json& messages, const Options& options) const;
  bool shows_needle(const nlohmann::ordered_json& content) const;
};

std::string ChatTemplate::State::render(const nlohmann::ordered_json& messages, const Options& options) const {
  const size_t message_bytes = messages.dump().size();
  auto context = std::make_shared<LimitedContext>(
      Value(nlohmann::ordered_json{{"messages", messages}, {"add_generation_prompt", options.add_generation_prompt}}),
      builtins, max_steps + 1000 * messages.size());
  for (const auto& [name, token] : special_tokens) context->set(name, Value(token));
  context->set("strftime_now", strftime_now(options.now));
  context->set("raise_exception", raise_exception());
  context->set("trim", trim());
  context->set("range", bounded_range(builtins->get("range")));
  LimitedOutput output(base_output + 2 * message_bytes);
  std::ostringstream stream;
  static_cast<std::ios&>(stream).rdbuf(&output);
  stream.exceptions(std::ios::badbit);
  root->render(stream, context);
  return output.take();
}

bool ChatTemplate::State::shows_needle(const nlohmann::ordered_json& content) const {
  try {
    const auto messages = nlohmann::ordered_json::array({{{"role", "user"}, {"content", content}}});
    return render(messages, {}).find(needle) != std::string::npos;
  } catch (const Stop&) {
    return false;
  } catch (const std::exception&) {
    return false;
  }
}

ChatTemplate::ChatTemplate(std::shared_ptr<const State> state) : state_(std::move(state)) {}

ChatTemplate ChatTemplate::from_source(std::string_view source,
                                       const std::map<std::string, std::string>& special_tokens) {
  auto state = std::make_shared<State>();
  state->source = std::string(source);
  state->special_tokens = special_tokens;
  const auto prepared = prepared_template(source);
  try {
    state->root =
        minja::Parser::parse(prepared, {.trim_blocks = false, .lstrip_blocks = false, .keep_trailing_newline = true});
  } catch (const std::exception& error) {
    fail(ErrorKind::config, "the chat template is malformed: " + first_line(error.what()), simpler);
  }
  const auto list = nlohmann::ordered_json::array({{{"type", "text"}, {"text", needle}}});
  state->lists = !state->shows_needle(needle) && state->shows_needle(list);
  return ChatTemplate(std::move(state));
}

ChatTemplate ChatTemplate::load(const std::filesystem::path& path,
                                const std::map<std::string, std::string>& special_tokens) {
  return with_context("loading the chat template of " + path.string(), [&] {
    constexpr uint64_t limit = 32 << 20;
    const bool is_file = std::filesystem::is_regular_file(path);
    const auto file = is_file ? path : path / "chat_template.jinja";
    // Of processors of multimodal models before they had a file of their own; then of tokenizers.
    const auto processor = path / "chat_template.json", config = path / "tokenizer_config.json";
    std::string source;
    if (std::filesystem::exists(file)) {
      source = read_file(file, ErrorKind::config, limit);
    } else if (!is_file && std::filesystem::exists(processor)) {
      source = default_template(parse_file(read_file(processor, ErrorKind::config, limit), "chat_template.json"));
    } else if (std::filesystem::exists(config)) {
      source = default_template(parse_file(read_file(config, ErrorKind::config, limit), "tokenizer_config.json"));
    }
    if (source.empty())
      fail(ErrorKind::config, fmt::format("{} has no chat template", path.string()),
           "put the template of the model's instruction-tuned version there as chat_template.jinja, or name a file in "
           "model.llm.chat_template");
    return from_source(source, special_tokens);
  });
}

std::string ChatTemplate::render(const nlohmann::ordered_json& messages, const Options& options) const {
  try {
    return state_->render(messages, options);
  } catch (const Stop& stop) {
    fail(ErrorKind::data, "the chat template " + stop.message, stop.fix);
  } catch (const std::exception& error) {
    fail(ErrorKind::data, "the chat template failed: " + first_line(error.what()),
         "check that the conversation has the roles and the form that this template expects");
  }
}

bool ChatTemplate::wants_lists() const { return state_->lists; }
const std::string& ChatTemplate::source() const { return state_->source; }

}  // namespace antiphon::text

std::string minja::strip(std::string& text, std::string& characters, bool left, bool right) {
  return antiphon::text::python_strip(text, characters, left, right);
}
