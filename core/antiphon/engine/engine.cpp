#include <antiphon/engine/engine.h>

#include <ATen/ATen.h>
#include <c10/core/InferenceMode.h>
#include <fmt/format.h>

#include <antiphon/base/error.h>
#include <antiphon/component/long_texts.h>
#include <antiphon/component/training_pass.h>

#include <algorithm>
#include <ranges>

namespace antiphon::engine {
namespace {

// How the engine computes: as one who uses a model, whatever its caller does.
struct Using {
  c10::InferenceMode inference;
  TrainingPass training{false};
};

}  // namespace

int64_t blocks_of_text(const model::MultimodalLm& model, int64_t tokens) {
  const int64_t prefix = model.prefix_tokens();
  return DecoderState::blocks_for(prefix + tokens) - prefix / DecoderState::kBlockSize;
}

int64_t room_for_answer(const model::MultimodalLm& model, int64_t prompt_tokens, const GenerateOptions& options) {
  const int64_t context = model.context(), wanted = options.limit(prompt_tokens);
  if (prompt_tokens >= context)
    fail(ErrorKind::data,
         fmt::format("a prompt of {} tokens leaves no room for an answer in the model's context of {}", prompt_tokens,
                     context),
         "shorten the prompt");
  if (wanted < 1 && options.max_length)
    fail(ErrorKind::data,
         fmt::format("a prompt of {} tokens leaves no room for an answer: max_length, of [generate] or the model's "
                     "generation_config.json, is {} for both together",
                     prompt_tokens, *options.max_length),
         "shorten the prompt, or set generate.max_tokens, which counts instead");
  return std::min(wanted, context - prompt_tokens);
}

int64_t blocks_for_text(const model::MultimodalLm& model, int64_t prompt_tokens, int64_t capacity,
                        const GenerateOptions& options) {
  if (options.beams() == 1) return blocks_of_text(model, capacity);
  const int64_t prefix = model.prefix_tokens(), all = DecoderState::blocks_for(prefix + capacity),
                shared = (prefix + prompt_tokens) / DecoderState::kBlockSize;
  return blocks_of_text(model, prompt_tokens) + options.beams() * (all - shared);
}

Engine::Engine(model::MultimodalLm& model, int64_t tokens, std::optional<text::Tokenizer> tokenizer)
    : model_(model),
      cache_(model.make_cache(blocks_of_text(model, tokens))),
      steps_(model, cache_),
      tokenizer_(std::move(tokenizer)),
      longest_short_(longest_short(model.llm())),
      long_are_alike_(long_are_alike(model.llm())),
      free_blocks_(cache_.free_blocks()) {
  if (longest_short_ && cache_.has_recurrent())  // beams that are read again go back to the end of their prompt
    fail(ErrorKind::internal,
         "a model with tensors of its texts computes long texts otherwise; the engine does neither");
}

int64_t Engine::add(int64_t capacity, std::optional<Request> request) {
  auto& text = texts_[next_];
  text.capacity = capacity, text.request = std::move(request);
  return next_++;
}

int64_t Engine::submit(Request request) {
  check_options(request.options);
  const int64_t prompt = request.prompt.tokens(), capacity = prompt + room_for_answer(model_, prompt, request.options);
  const int64_t blocks = blocks_for_text(model_, prompt, capacity, request.options),
                all = cache_.all_blocks() - DecoderState::blocks_for(cache_.prefix());
  if (blocks > all)
    fail(ErrorKind::data,
         fmt::format("a prompt and its answer take {} tokens; {} fit", blocks * cache_.block_size(),
                     all * cache_.block_size()),
         "shorten the prompt, or lower generate.max_tokens or generate.num_beams");
  waiting_.push_back(add(capacity, std::move(request)));
  texts_.at(waiting_.back()).blocks = blocks;
  return waiting_.back();
}

std::optional<Answer> Engine::take(int64_t text) {
  const auto found = answers_.find(text);
  if (found == answers_.end()) return std::nullopt;
  return std::move(answers_.extract(found).mapped());
}

int64_t Engine::open(int64_t capacity) {
  capacity = std::min(capacity, model_.context());
  const int64_t blocks = blocks_of_text(model_, capacity);
  if (blocks > free_blocks_)
    fail(ErrorKind::data,
         fmt::format("a text of {} tokens was asked for; {} are free", capacity, free_blocks_ * cache_.block_size()));
  free_blocks_ -= blocks;
  const int64_t number = add(capacity, std::nullopt);
  texts_.at(number).row = cache_.add_row(), texts_.at(number).blocks = blocks;
  return number;
}

void Engine::close(int64_t number) {
  auto& text = texts_.at(number);
  if (text.writing) drop_beams(*text.writing);
  if (text.row >= 0) {
    cache_.drop_row(text.row);
    free_blocks_ += text.blocks;
  }
  texts_.erase(number);
}

int64_t Engine::read(int64_t number, data::Prepared prompt) {
  const Using mode;
  auto& text = texts_.at(number);
  if (prompt.tokens() > text.capacity)
    fail(ErrorKind::data, fmt::format("the conversation has {} tokens; {} fit", prompt.tokens(), text.capacity),
         "begin a new one, or raise the capacity");
  auto keys = keys_of(prompt);
  const double next = static_cast<double>(cache_.prefix()) + prompt.next_position();
  const bool alike = goes_on(text, next);
  if (alike && keys == text.held && text.hidden.defined()) {
    end(number);
    return 0;
  }
  const int64_t begin = reachable(text.row, alike ? shared_tokens(text.held, keys, prompt) : 0);
  auto own = kept(prompt);
  auto batch = data::pack({from(std::move(prompt), begin)});
  model_.encode(batch);
  end(number);
  text.hidden = at::Tensor();  // of no prompt, if what follows fails
  cache_.truncate(text.row, cache_.prefix() + begin);
  text.held.resize(static_cast<size_t>(begin), PositionKey::of_token(0));
  const auto hidden = model_.forward(batch, &cache_, {text.row});
  cache_.set_next_position(text.row, next);
  cache_.keep_place(text.row);
  text.hidden = hidden.narrow(0, hidden.size(0) - 1, 1);
  text.held = std::move(keys), text.prompt = std::move(own);
  return batch.tokens();
}

// Of the first `tokens` tokens of a text those to which what is kept of it can be cut.
int64_t Engine::reachable(int64_t row, int64_t tokens) const {
  return cache_.reachable(row, cache_.prefix() + tokens) - cache_.prefix();
}

void Engine::answer(int64_t number, const GenerateOptions& options, std::vector<int32_t> stop_ids, OnToken on_token) {
  auto& text = texts_.at(number);
  if (!text.hidden.defined()) fail(ErrorKind::data, "there is no prompt to answer", "read one first");
  check_options(options);
  const auto held = std::ssize(text.held);
  if (held >= text.capacity)
    fail(ErrorKind::data, fmt::format("the conversation is full: {} tokens", text.capacity), "begin a new one");
  const auto left = std::min(room_for_answer(model_, held, options), text.capacity - held);
  answers_.erase(number);
  begin(text, options, std::move(stop_ids), std::move(on_token), left);
}

void Engine::begin(Text& text, const GenerateOptions& options, std::vector<int32_t> stop_ids, OnToken on_token,
                   int64_t left) {
  std::vector<int64_t> prompt;
  for (const auto key : text.held) prompt.push_back(key.token());
  text.writing.emplace(options, std::move(stop_ids), std::move(prompt), left, tokenizer_, std::move(on_token));
  if (options.beams() > 1) begin_beams(text);
}

void Engine::end(int64_t number) {
  const auto found = texts_.find(number);
  if (found == texts_.end() || !(found->second.writing || found->second.request)) return;
  std::erase(waiting_, number);
  finish(number, Finish::ended);
}

void Engine::finish(int64_t number, Finish how, std::exception_ptr why) {
  auto& text = texts_.at(number);
  if (text.writing) drop_beams(*text.writing);
  answers_[number] =
      text.writing ? std::move(*text.writing).ended(how, std::move(why)) : Answer{{}, how, std::move(why)};
  text.writing.reset();
  if (text.request) close(number);
}

bool Engine::step() {
  const Using mode;
  admit();
  read_last_tokens();
  write();
  return !waiting_.empty() || !writing(true).empty();
}

// In their order: one that needs more room than is free is not overtaken.
void Engine::admit() {
  Numbers joining;
  while (!waiting_.empty()) {
    auto& text = texts_.at(waiting_.front());
    if (text.blocks > free_blocks_) break;
    free_blocks_ -= text.blocks;
    text.row = cache_.add_row();
    joining.push_back(waiting_.front());
    waiting_.pop_front();
  }
  if (joining.empty()) return;
  try {
    join(joining);
  } catch (...) {
    wait_again(joining);
    throw;
  }
}

// All prompts at once; if the data of one are bad, each alone, and what then fails is its own failure.
void Engine::join(const Numbers& numbers) {
  try {
    return read_all(numbers);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    for (const auto number : numbers) cache_.truncate(texts_.at(number).row, cache_.prefix());
    if (numbers.size() == 1) return finish(numbers.front(), Finish::failed, std::current_exception());
  }
  for (const auto number : numbers) join({number});
}

// In their order, before all others; but for those that were read, or have failed.
void Engine::wait_again(const Numbers& numbers) {
  for (const auto number : std::views::reverse(numbers)) {
    const auto found = texts_.find(number);
    if (found == texts_.end() || found->second.writing) continue;
    cache_.drop_row(std::exchange(found->second.row, -1));
    free_blocks_ += found->second.blocks;
    waiting_.push_front(number);
  }
}

void Engine::read_all(const Numbers& numbers) {
  std::vector<data::Prepared> prompts;
  std::vector<int64_t> rows, last;
  for (const auto number : numbers) {
    prompts.push_back(texts_.at(number).request->prompt);
    rows.push_back(texts_.at(number).row);
  }
  auto batch = data::pack(std::move(prompts));
  model_.encode(batch);
  int64_t end = 0;
  for (const int64_t length : batch.lengths) last.push_back((end += length) - 1);
  const auto hidden =
      model_.forward(batch, &cache_, rows).index_select(0, at::tensor(last, at::kLong).to(model_.device()));
  for (size_t i = 0; i < numbers.size(); ++i) {
    auto& text = texts_.at(numbers[i]);
    auto& request = *text.request;
    text.hidden = hidden.narrow(0, static_cast<int64_t>(i), 1);
    text.held = keys_of(request.prompt);
    cache_.set_next_position(text.row, static_cast<double>(cache_.prefix()) + request.prompt.next_position());
    text.prompt = kept(request.prompt);
    begin(text, request.options, std::move(request.stop_ids), std::move(request.on_token),
          text.capacity - request.prompt.tokens());
    request.prompt = {};
  }
}

Engine::Numbers Engine::writing(bool unread) const {
  Numbers numbers;
  for (const auto& [number, text] : texts_)
    if (text.writing && text.writing->has_unread() == unread) numbers.push_back(number);
  return numbers;
}

void Engine::read_last_tokens() {
  auto numbers = writing(true);
  std::erase_if(numbers, [this](int64_t number) {
    auto& text = texts_.at(number);
    return outgrows(text) && (read_again(text), true);
  });
  if (numbers.empty()) return;
  std::vector<int64_t> ids, rows;
  for (const auto number : numbers) {
    const auto& text = texts_.at(number);
    const auto& writing = *text.writing;
    if (writing.beams) {
      ids.insert(ids.end(), writing.beams->unread.begin(), writing.beams->unread.end());
      rows.insert(rows.end(), writing.beams->rows.begin(), writing.beams->rows.end());
    } else {
      ids.push_back(*writing.unread), rows.push_back(text.row);
    }
  }
  const auto hidden = steps_(ids, rows);
  int64_t begin = 0;
  for (const auto number : numbers) {
    auto& text = texts_.at(number);
    const int64_t n = text.writing->beams ? std::ssize(text.writing->beams->rows) : 1;
    hidden_of(text) = hidden.narrow(0, begin, n);
    begin += n;
    if (text.writing->beams)
      text.writing->beams->unread.clear();
    else
      text.held.push_back(PositionKey::of_token(
          *std::exchange(text.writing->unread, {}),
          cache_.next_position(text.row) - static_cast<double>(cache_.prefix() + 1 + std::ssize(text.held))));
  }
}

void Engine::write() {
  const auto numbers = writing(false);
  if (numbers.empty()) return;
  std::vector<at::Tensor> hidden;
  for (const auto number : numbers) hidden.push_back(hidden_of(texts_.at(number)));
  const auto logits = logits_of(model_, at::cat(hidden));
  std::vector<Draft> drafts;
  std::vector<int64_t> plain, places;
  int64_t begin = 0;
  for (const auto number : numbers) {
    auto& text = texts_.at(number);
    auto& writing = *text.writing;
    const int64_t rows = hidden_of(text).size(0);
    if (!writing.beams) {
      drafts.push_back(writing.draft());
      plain.push_back(number), places.push_back(begin);
    } else {
      write_beams(number, text, logits.narrow(0, begin, rows));
    }
    begin += rows;
  }
  if (plain.empty()) return;
  const bool all = plain.size() == numbers.size();
  const auto of_drafts = all ? logits : logits.index_select(0, at::tensor(places, at::kLong).to(logits.device()));
  const auto ids = next_tokens(of_drafts, drafts);
  std::exception_ptr thrown;
  for (size_t i = 0; i < plain.size(); ++i) try {
      take_token(plain[i], texts_.at(plain[i]), ids[i], of_drafts[static_cast<int64_t>(i)]);
    } catch (...) {  // the others have drawn, too
      thrown = std::current_exception();
      finish(plain[i], Finish::failed, thrown);
    }
  if (thrown) std::rethrow_exception(thrown);
}

void Engine::take_token(int64_t number, Text& text, const std::optional<int64_t>& id, const at::Tensor& logits_v) {
  text.writing->unread = id;
  if (const auto how = text.writing->take(id, logits_v)) finish(number, *how);
}

}  // namespace antiphon::engine
