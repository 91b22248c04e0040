// One rendering: its heap, its names, and where it writes to.
#pragma once
#include <chrono>
#include <optional>
#include <utility>

#include <antiphon/text/jinja/parser.h>

namespace antiphon::text::jinja {

class Run {
 public:
  using Clock = std::chrono::system_clock;
  Run(const Tree& tree, const Limits& limits, Clock::time_point now) : tree_(tree), heap_(limits), now_(now) {}

  Heap& heap() { return heap_; }
  Clock::time_point now() const { return now_; }
  // Sets a context name; does nothing if the template does not use it.
  void define(std::string_view name, const Value& value);
  std::string render();
  int line() const { return line_; }

  Value eval(const Expr& expr) {
    const Heap::Level level(heap_);
    heap_.step();
    line_ = expr.line;
    return expr.eval(*this);
  }
  Flow exec(const Body& body);
  void write(std::string_view text);
  // The output of `body`; the flow that ended it goes to `flow`.
  Value capture(const Body& body, Flow* flow = nullptr);
  template <class Act>
  Value captured(Act act) {
    std::string text;
    struct Restore {
      std::string*& place;
      std::string* old;
      ~Restore() { place = old; }
    };
    {
      const Restore restore{sink_, std::exchange(sink_, &text)};
      act();
    }
    return new_text(heap_, text);
  }

  Value lookup(int32_t name);
  void assign(int32_t name, const Value& value);
  void assign(const Target& target, const Value& value);
  Scope* scope() const { return scope_; }
  // A scope within `parent` while this object lives.
  class Inner {
   public:
    Inner(Run& run, Scope* parent) : run_(run), outer_(run.scope_) { run.scope_ = run.heap_.make(Scope{parent}); }
    ~Inner() { run_.scope_ = outer_; }
    Inner(const Inner&) = delete;
    Inner& operator=(const Inner&) = delete;

   private:
    Run& run_;
    Scope* outer_;
  };

  Arguments arguments(const ArgumentNodes& nodes, const Value* caller = nullptr);
  Value call(const Value& callee, const Arguments& arguments);
  Value attribute(const Value& object, const Value& name);  // object.name
  Value element(const Value& object, const Value& index);   // object[index]
  Value slice(const Value& object, const Value& start, const Value& stop, const Value& step);
  Value filter(std::string_view name, const Value& input, const Arguments& arguments);
  bool test(std::string_view name, const Value& input, const Arguments& arguments);
  static bool has_filter(std::string_view name);
  static bool has_test(std::string_view name);

  Value text(std::string_view bytes, bool safe = false) { return new_text(heap_, bytes, safe); }

 private:
  std::string_view words(int32_t name) const { return tree_.names.words[static_cast<size_t>(name)]; }
  void declare(Scope& scope, int32_t name, const Value& value);

  const Tree& tree_;
  Heap heap_;
  Clock::time_point now_;
  Scope globals_, top_{&globals_};
  Scope* scope_ = &top_;
  std::string out_;
  std::string* sink_ = &out_;
  int line_ = 0;
};

Native text_method(std::string_view name);
Native sequence_method(const Sequence& sequence, std::string_view name);
Native dict_method(std::string_view name);
// Whether Python's type has a method of that name that is not supported here.
bool left_out(const Value& object, std::string_view name);
bool changes_its_object(const Value& object, std::string_view name);
Native global_function(std::string_view name);
Value loop_attribute(Run& run, Loop& loop, std::string_view name);

}  // namespace antiphon::text::jinja
