#include <antiphon/component/record/turns.h>
#include <antiphon/component/record_format.h>

#include "faulty.h"

namespace antiphon::fixture {
namespace record_format {
namespace {

using records::Json;

enum class Fault { none, any_record, unnamed_key, json_exception, unknown_role };

// {"question", "answer"}.
template <Fault fault>
class QuestionAnswer : public RecordFormat {
 public:
  std::string expects() const override { return "'question' and 'answer'"; }
  bool recognises(const Json& record) const override {
    return fault == Fault::any_record || (record.contains("question") && record.contains("answer"));
  }
  std::set<std::string> keys() const override {
    return fault == Fault::unnamed_key ? std::set<std::string>{"question"}
                                       : std::set<std::string>{"question", "answer"};
  }
  Sample read(const Json& object, const MediaFolder&) const override {
    const auto text = [&](const char* key) {
      return fault == Fault::json_exception ? object.at(key).get<std::string>()
                                            : records::text_of(object, key, "the record");
    };
    Sample sample;
    sample.turns = {{"user", {{text("question")}}},
                    {fault == Fault::unknown_role ? "bot" : "assistant", {{text("answer")}}}};
    return sample;
  }
};

}  // namespace
}  // namespace record_format

void add_formats(plugin::Registrar& registrar) {
  using namespace record_format;
  register_component<RecordFormat, QuestionAnswer<Fault::none>>(registrar, "sound", "");
  register_component<RecordFormat, QuestionAnswer<Fault::any_record>>(registrar, "any_record", "recognises all");
  register_component<RecordFormat, QuestionAnswer<Fault::unnamed_key>>(registrar, "unnamed_key", "reads more keys");
  register_component<RecordFormat, QuestionAnswer<Fault::json_exception>>(registrar, "json_exception", "of the parser");
  register_component<RecordFormat, QuestionAnswer<Fault::unknown_role>>(registrar, "unknown_role", "its own word");
}

}  // namespace antiphon::fixture
