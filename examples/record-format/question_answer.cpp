// {"question", "answer", "image"?: PATH} as a record format.
#include <antiphon/base/error.h>
#include <antiphon/component/record/turns.h>
#include <antiphon/component/register.h>
#include <antiphon/plugin/manifest.h>

namespace question_answer {

using namespace antiphon::records;

class QuestionAnswer : public antiphon::RecordFormat {
 public:
  std::string expects() const override { return "'question' and 'answer'"; }
  bool recognises(const Json& record) const override {
    return is_there(record, "question") && is_there(record, "answer");
  }
  std::set<std::string> keys() const override { return {"question", "answer", "image"}; }
  antiphon::Sample read(const Json& object, const antiphon::MediaFolder& folder) const override {
    Record record(object, folder);
    antiphon::SampleTurn question{"user", {}}, answer{"assistant", {{text_of(object, "answer", "the record")}}};
    if (const auto picture = record.media.take(antiphon::Modality::image, record.sample))
      question.parts.push_back({{}, *picture});
    question.parts.push_back({text_of(object, "question", "the record")});
    record.sample.turns = {question, answer};
    return finished(std::move(record));
  }
};

}  // namespace question_answer

ANTIPHON_PLUGIN(question_answer, "0.1.0") {
  antiphon::register_component<antiphon::RecordFormat, question_answer::QuestionAnswer>(
      registrar, "question_answer", "a question and its answer, about a picture");
}
