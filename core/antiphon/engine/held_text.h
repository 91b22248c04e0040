// What the positions of a row of the cache were computed from, and how much of a prompt it therefore holds.
#pragma once
#include <antiphon/data/prepare.h>

namespace antiphon::engine {

// Of one position: the id of a token of text, or the content of a medium's part and the place in it.
class PositionKey {
 public:
  // `shift`: of its position, if that is not its place in the text: an answer may have been written at positions that a
  // later prompt does not give it.
  static PositionKey of_token(int64_t id, double shift = 0) { return {static_cast<uint64_t>(id), shift}; }
  static PositionKey of_media(uint64_t content, int64_t place);
  // The token, or -1 at a media position.
  int64_t token() const { return value_ & kMedia ? -1 : static_cast<int64_t>(value_); }
  bool operator==(const PositionKey&) const = default;

 private:
  static constexpr uint64_t kMedia = uint64_t{1} << 63;
  PositionKey(uint64_t value, double shift) : value_(value), shift_(shift) {}
  uint64_t value_;
  double shift_;
};

std::vector<PositionKey> keys_of(const data::Prepared& prompt);
// How much of the prompt `held` gives: not its last token, whose hidden state is wanted, and whole parts of media.
int64_t shared_tokens(const std::vector<PositionKey>& held, const std::vector<PositionKey>& keys,
                      const data::Prepared& prompt);
// The prompt from a token on that shared_tokens() gave.
data::Prepared from(data::Prepared prompt, int64_t begin);
// The prompt with one more token of text.
void append(data::Prepared& prompt, int64_t id);

}  // namespace antiphon::engine
