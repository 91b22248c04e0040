#include <antiphon/parallel/put_together.h>

#include <antiphon/nn/whole_of_parts.h>

namespace antiphon::parallel {

void put_together(const std::vector<Parameter>& parameters, comm::Group& group) {
  for (const auto& parameter : parameters)
    if (parameter.box) *parameter.tensor = nn::whole_of_parts(*parameter.tensor, *parameter.box, group);
}

}  // namespace antiphon::parallel
