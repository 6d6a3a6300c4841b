// What holds for actions for nodes and for the allow-list, whoever asks for them: the API or the command line.
#pragma once

#include <cstdint>
#include <string>

#include "api/account.h"
#include "base/random.h"
#include "bosonserver/store/store.h"

namespace higgs::boson {

/// What no node would do. The node looks at it again; here the operator learns of it at once.
api::FieldErrors faults_of(const api::CreateActionRequest& request);
ActionRecord make_action(const api::CreateActionRequest& request, NodeId node, RandomSource& random, std::int64_t now);
/// As the audit has it once it is queued.
std::string outcome_of(const ActionRecord& action);
/// Those that the node has not answered; kNotFound: no such node.
Result<api::ActionList> waiting_actions(Store& store, NodeId node);

api::FieldErrors faults_of(const api::CreateAllowEntryRequest& request);
/// `created_by`: as the audit's actor.
AllowEntry make_allow_entry(const api::CreateAllowEntryRequest& request, RandomSource& random, std::string created_by,
                            std::int64_t now);
/// The network or the identity, as the audit names it.
std::string object_of(const AllowEntry& entry);
api::AllowListEntry shown(const AllowEntry& entry);

}  // namespace higgs::boson
