#pragma once
#include <vector>

#include <antiphon/comm/group.h>
#include <antiphon/component/module.h>

namespace antiphon::parallel {

// Makes parameters of which each process of the group holds a part (Parameter::box) whole in all of them, to be
// written; the modules cannot compute with them any more.
void put_together(const std::vector<Parameter>& parameters, comm::Group& group);

}  // namespace antiphon::parallel
