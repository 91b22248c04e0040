// Texts in progress over the state that a model keeps of them. They join and leave between steps, and what becomes of
// one does not depend on the others: each has random numbers of its own, and a step of up to kFewRows texts
// (nn/linear/few_rows.h) gives each the bits that it gets alone. Prompts that are read together, and larger steps, are
// those up to rounding. `generate`, `chat` and its half-duplex session and `eval` drive it; models that several
// processes have together have no cache, and write by whole passes (engine/passes.h). No thread of its own, and not
// thread-safe.
#pragma once
#include <deque>
#include <exception>
#include <map>
#include <memory>
#include <optional>

#include <antiphon/engine/answer_so_far.h>
#include <antiphon/engine/held_text.h>
#include <antiphon/engine/step.h>

namespace antiphon::engine {

struct Request {
  data::Prepared prompt;  // made with Purpose::generation
  GenerateOptions options = {};
  std::vector<int32_t> stop_ids = {};  // end the answer, as does the end of its room
  OnToken on_token = {};  // within step(); must not call the engine. What it throws ends its answer and step()
};

// Blocks of a cache that a text of so many tokens takes, beside those that all texts begin with.
int64_t blocks_of_text(const model::MultimodalLm& model, int64_t tokens);

// Tokens that an answer may have: as many as the options say, or what is left of the model's context. Error(data) if
// the prompt leaves nothing of one of them.
int64_t room_for_answer(const model::MultimodalLm& model, int64_t prompt_tokens, const GenerateOptions& options);

// The same of a prompt with its answer, of which each beam has its own from the prompt's last block on.
int64_t blocks_for_text(const model::MultimodalLm& model, int64_t prompt_tokens, int64_t capacity,
                        const GenerateOptions& options);

class Engine {
 public:
  // `tokens`: what all texts hold together at most; each takes whole blocks of DecoderState::kBlockSize. The model must
  // outlive the engine. `tokenizer`: needed for options.stop.
  Engine(model::MultimodalLm& model, int64_t tokens, std::optional<text::Tokenizer> tokenizer = std::nullopt);

  // --- answers to prompts -------------------------------------------------------------------------------------------
  // Waits until there is room for the prompt and the longest answer. Error(data) if there never will be; Error(config)
  // for options that do not go together, here and below.
  int64_t submit(Request request);
  // An answer that has ended, once; nullopt before.
  std::optional<Answer> take(int64_t text);

  // --- texts that stay ----------------------------------------------------------------------------------------------
  // Room for `capacity` tokens, at most the model's context. Error(data) if the engine has not so much left.
  int64_t open(int64_t capacity);
  void close(int64_t text);
  // Brings the text to this prompt and ends its answer. Returns the tokens that had to be computed, media included:
  // what it shares with what is held is not, and of a sound in parts only those that are new. Error(data) if the prompt
  // does not fit; the text is then unchanged.
  int64_t read(int64_t text, data::Prepared prompt);
  // Begins an answer to what was read; take() gives it. Error(data) if nothing was, if there is no room for beams, and
  // in the answer once the text is full. The text then has the answer, but not one of beams.
  void answer(int64_t text, const GenerateOptions& options, std::vector<int32_t> stop_ids, OnToken on_token = {});
  int64_t length(int64_t text) const { return static_cast<int64_t>(texts_.at(text).held.size()); }
  int64_t capacity(int64_t text) const { return texts_.at(text).capacity; }

  // Ends the text's answer, or a request that waits.
  void end(int64_t text);
  // Reads prompts for which there is room, then gives each answer its next token. False once there is nothing to do.
  // What it throws, of memory that ended for example, leaves texts as they were: those that were joining wait again.
  bool step();

 private:
  struct Beams {
    BeamSearch search;
    std::vector<int64_t> rows, unread;  // of each beam, and its last token, which the cache does not hold yet
    at::Tensor hidden;                  // [beams, hidden_size]
    int64_t blocks = 0;                 // promised to them
  };
  struct Writing : AnswerSoFar {
    using AnswerSoFar::AnswerSoFar;
    std::optional<int64_t> unread = {};  // its last token, which the cache does not hold yet
    std::unique_ptr<Beams> beams = nullptr;
    bool has_unread() const { return beams ? !beams->unread.empty() : unread.has_value(); }
  };
  struct Text {
    int64_t capacity = 0, row = -1;
    int64_t blocks = 0;                         // promised to it
    std::vector<PositionKey> held;              // what each position of the row was computed from
    std::optional<data::Prepared> prompt = {};  // that may have to be read again (engine_long.cpp)
    at::Tensor hidden;                          // [1, hidden_size] after the last position
    std::optional<Writing> writing;
    std::optional<Request> request;  // that made it; without one it stays
  };
  using Numbers = std::vector<int64_t>;  // of texts
  int64_t add(int64_t capacity, std::optional<Request> request);
  void begin(Text& text, const GenerateOptions& options, std::vector<int32_t> stop_ids, OnToken on_token, int64_t left);
  void admit();
  void join(const Numbers& numbers);
  void wait_again(const Numbers& numbers);
  void read_all(const Numbers& numbers);
  void read_last_tokens();
  int64_t reachable(int64_t row, int64_t tokens) const;
  bool is_long(double next_position) const;
  bool outgrows(const Text& text) const;
  bool goes_on(const Text& text, double next_position) const;
  std::optional<data::Prepared> kept(const data::Prepared& prompt) const;
  void read_again(Text& text);
  void read_beams_again(Text& text, const data::Prepared& before);
  at::Tensor read_into(int64_t row, data::Prepared prompt, int64_t begin);
  void write();
  void take_token(int64_t number, Text& text, const std::optional<int64_t>& id, const at::Tensor& logits_v);
  void begin_beams(Text& text);
  void fork_beams(Beams& beams, const std::vector<BeamSearch::Step>& steps);
  void write_beams(int64_t number, Text& text, const at::Tensor& logits);
  void finish_beams(int64_t number, Text& text);
  void drop_beams(Writing& writing);
  void finish(int64_t number, Finish how, std::exception_ptr why = {});
  Numbers writing(bool unread) const;
  // What its next token is told from: [1, hidden_size], or of beams [beams, hidden_size].
  static at::Tensor& hidden_of(Text& text) { return text.writing->beams ? text.writing->beams->hidden : text.hidden; }

  model::MultimodalLm& model_;
  DecoderState cache_;
  DecodingSteps steps_;
  std::optional<text::Tokenizer> tokenizer_;
  std::optional<int64_t> longest_short_;
  bool long_are_alike_;
  int64_t free_blocks_;  // that are not promised to a text
  int64_t next_ = 0;
  std::map<int64_t, Text> texts_;
  std::deque<int64_t> waiting_;
  std::map<int64_t, Answer> answers_;
};

}  // namespace antiphon::engine
