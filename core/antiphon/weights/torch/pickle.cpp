#include <antiphon/weights/torch/pickle.h>

#include <fmt/format.h>

#include <bit>
#include <unordered_map>

#include <antiphon/base/error.h>

namespace antiphon::weights {
namespace {

using Kind = PickleKind;

constexpr size_t kMaxName = 1000;  // or else two bytes would make a copy of a text of any length

class Reader {
 public:
  Reader(std::string_view bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  Pickle run() {
    while (!done_) {
      op_at_ = at_;
      step(static_cast<uint8_t>(take(1)[0]));
    }
    pickle_.root = pop();
    return std::move(pickle_);
  }

 private:
  [[noreturn]] void fail_here(const std::string& what) const {
    fail(ErrorKind::weights, fmt::format("{}: byte {}: {}", file_, op_at_, what),
         "fetch the file again, or save it with safetensors");
  }

  std::string_view take(uint64_t count) {
    if (count > bytes_.size() - at_) fail_here("the pickle is cut off");
    const auto found = bytes_.substr(at_, count);
    at_ += count;
    return found;
  }
  uint64_t number(int width) {
    const auto from = take(static_cast<uint64_t>(width));
    uint64_t value = 0;
    for (int i = width - 1; i >= 0; --i) value = value << 8 | static_cast<uint8_t>(from[static_cast<size_t>(i)]);
    return value;
  }
  std::string_view line() {
    const auto end = bytes_.find('\n', at_);
    if (end == std::string_view::npos) fail_here("the pickle is cut off");
    const auto found = take(end - at_);
    take(1);
    return found;
  }

  PickleNode& add(Kind kind) {
    auto& node = pickle_.nodes.emplace_back();
    node.kind = kind;
    stack_.push_back(&node);
    return node;
  }
  void add_integer(int64_t value) { add(Kind::integer).integer = value; }
  void add_text(std::string_view text) { add(Kind::text).text = text; }
  PickleNode* pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) fail_here("the stack is empty");
    auto* node = stack_.back();
    stack_.pop_back();
    return node;
  }
  PickleNode& top(Kind kind) {
    if (stack_.empty() || stack_.back()->kind != kind) fail_here("what is added to is not there");
    return *stack_.back();
  }
  // What lies above the last mark.
  std::vector<const PickleNode*> above_mark() {
    if (marks_.empty()) fail_here("there is no mark");
    const auto first = stack_.begin() + static_cast<long>(marks_.back());
    std::vector<const PickleNode*> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  void tuple_of(int count) {
    std::vector<const PickleNode*> items(static_cast<size_t>(count));
    for (int i = count - 1; i >= 0; --i) items[static_cast<size_t>(i)] = pop();
    add(Kind::list).items = std::move(items);
  }
  void extend(Kind kind, const std::vector<const PickleNode*>& items) {
    if (kind == Kind::dict && items.size() % 2 != 0) fail_here("a key without a value");
    if (stack_.empty()) fail_here("what is added to is not there");
    auto& to = *stack_.back();
    // An OrderedDict is a call that is filled afterwards.
    if (kind == Kind::dict && to.kind == Kind::call) to.kind = Kind::dict, to.items.clear();
    auto& list = top(kind).items;
    list.insert(list.end(), items.begin(), items.end());
  }
  void call() {
    const auto* arguments = pop();
    const auto* callee = pop();
    add(Kind::call).items = {callee, arguments};
  }
  void remember(uint64_t place) {
    if (stack_.empty()) fail_here("nothing to remember");
    memo_[place] = stack_.back();
  }
  void recall(uint64_t place) {
    const auto found = memo_.find(place);
    if (found == memo_.end()) fail_here("nothing was remembered there");
    stack_.push_back(found->second);
  }
  void long_integer() {
    const auto count = number(1);
    const auto from = take(count);
    if (count > 8) return add_integer(INT64_MAX);  // of no size or offset
    uint64_t value = count > 0 && from.back() < 0 ? ~uint64_t{0} : 0;
    for (auto i = count; i-- > 0;) value = value << 8 | static_cast<uint8_t>(from[i]);
    add_integer(static_cast<int64_t>(value));
  }
  void real() {
    const auto from = take(8);
    uint64_t value = 0;
    for (const char byte : from) value = value << 8 | static_cast<uint8_t>(byte);
    add(Kind::real).real = std::bit_cast<double>(value);
  }

  void step(uint8_t op);
  void step_of_values(uint8_t op);
  void step_of_protocol_4(uint8_t op);

  std::string_view bytes_;
  const std::string& file_;
  uint64_t at_ = 0, op_at_ = 0;
  bool done_ = false;
  Pickle pickle_;
  std::vector<PickleNode*> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, PickleNode*> memo_;
};

// Structure.
void Reader::step(uint8_t op) {
  switch (op) {
    case 0x80: take(1); return;  // the protocol
    case '.': done_ = true; return;
    case '(': marks_.push_back(stack_.size()); return;
    case '0': pop(); return;
    case '1': above_mark(); return;
    case '}': add(Kind::dict); return;
    case ']':
    case ')': add(Kind::list); return;
    case 't': {
      auto items = above_mark();
      add(Kind::list).items = std::move(items);
      return;
    }
    case 0x85:
    case 0x86:
    case 0x87: return tuple_of(op - 0x84);
    case 'a': return extend(Kind::list, {pop()});
    case 'e': return extend(Kind::list, above_mark());
    case 's': {
      const auto* value = pop();
      const auto* key = pop();
      return extend(Kind::dict, {key, value});
    }
    case 'u': return extend(Kind::dict, above_mark());
    case 'R':
    case 0x81: return call();
    case 'b': pop(); return;  // the state of what was made: nothing that a tensor needs
    case 'Q': {
      const auto* known_by = pop();
      add(Kind::persistent).items = {known_by};
      return;
    }
    case 'q': return remember(number(1));
    case 'r': return remember(number(4));
    case 'h': return recall(number(1));
    case 'j': return recall(number(4));
    default: return step_of_values(op);
  }
}

void Reader::step_of_values(uint8_t op) {
  switch (op) {
    case 'N': add(Kind::none); return;
    case 0x88:
    case 0x89: add(Kind::boolean).integer = op == 0x88; return;
    case 'J': return add_integer(static_cast<int32_t>(number(4)));
    case 'K': return add_integer(static_cast<int64_t>(number(1)));
    case 'M': return add_integer(static_cast<int64_t>(number(2)));
    case 0x8a: return long_integer();
    case 'G': return real();
    case 'X':
    case 'B': return add_text(take(number(4)));
    case 'U':
    case 'C': return add_text(take(number(1)));
    case 'c': {
      const auto module = line(), name = line();
      add(Kind::global).text = fmt::format("{} {}", module, name);
      return;
    }
    default: return step_of_protocol_4(op);
  }
}

void Reader::step_of_protocol_4(uint8_t op) {
  switch (op) {
    case 0x95: take(8); return;  // how long what follows is
    case 0x94: return remember(memo_.size());
    case 0x8c: return add_text(take(number(1)));
    case 0x8d:
    case 0x8e: return add_text(take(number(8)));
    case 0x93: {
      const auto* name = pop();
      const auto* module = pop();
      if (module->text.size() + name->text.size() > kMaxName) fail_here("a name that no class has");
      add(Kind::global).text = fmt::format("{} {}", module->text, name->text);
      return;
    }
    default: fail_here(fmt::format("opcode 0x{:02x}, which torch.save() does not write", op));
  }
}

}  // namespace

const PickleNode* PickleNode::find(std::string_view key) const {
  if (kind != Kind::dict) return nullptr;
  for (size_t i = 0; i + 1 < items.size(); i += 2)
    if (items[i]->kind == Kind::text && items[i]->text == key) return items[i + 1];
  return nullptr;
}

Pickle read_pickle(std::string_view bytes, const std::string& file) { return Reader(bytes, file).run(); }

}  // namespace antiphon::weights
