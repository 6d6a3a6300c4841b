#include "bosonserver/domain/audit_chain.h"

#include <algorithm>
#include <functional>

#include <gtest/gtest.h>

namespace higgs::boson {
namespace {

class AuditChainTest : public ::testing::Test {
 protected:
  AuditChainTest() {
    for (int i = 1; i <= 6; ++i) add("user:" + std::to_string(i));
  }
  void add(const std::string& actor) {
    links_.push_back(append_to_chain(chain_, {0, 100, actor, "192.0.2.1", "login", "o", "ok"}));
  }
  /// What a verifier says: "2: …", "3-4: …".
  std::vector<std::string> faults() { return faults(chain_); }
  std::vector<std::string> faults(const AuditChain& start) {
    AuditVerifier verifier(start);
    for (const auto& link : links_) verifier.check(link);
    verifier.finish(chain_);
    EXPECT_EQ(verifier.fault_count(), verifier.faults().size());
    verified_ = verifier.verified();
    std::vector<std::string> all;
    for (const auto& fault : verifier.faults())
      all.push_back(std::to_string(fault.first) + (fault.last == fault.first ? "" : "-" + std::to_string(fault.last)) +
                    ": " + fault.what);
    return all;
  }
  static std::string changed(int id) {
    return std::to_string(id) + ": not what was written, or not behind the one it was written behind";
  }

  AuditChain chain_;
  std::vector<AuditLink> links_;
  std::uint64_t verified_ = 0;
};

using Faults = std::vector<std::string>;

TEST_F(AuditChainTest, WhatWasWrittenIsGood) {
  EXPECT_EQ(faults(), Faults{});
  EXPECT_EQ(verified_, 6u);
  EXPECT_EQ(chain_.head_id, 6);
  EXPECT_EQ(links_.back().entry.id, 6);
}

TEST_F(AuditChainTest, EveryFieldIsCovered) {
  const auto whole = links_;
  const std::vector<std::function<void(AuditEntry&)>> forgeries{
      [](AuditEntry& e) { e.time = 99; },
      [](AuditEntry& e) { e.actor = "user:x"; },
      [](AuditEntry& e) { e.address.clear(); },
      [](AuditEntry& e) { e.action = "logout"; },
      [](AuditEntry& e) { e.object += "o"; },
      [](AuditEntry& e) { e.outcome = "denied"; },
      [](AuditEntry& e) { e.object = "", e.outcome = "ook"; },  // the same bytes, divided otherwise
  };
  for (const auto& forge : forgeries) {
    links_ = whole;
    forge(links_[2].entry);
    EXPECT_EQ(faults(), Faults{changed(3)});
    EXPECT_EQ(verified_, 5u);
  }
}

TEST_F(AuditChainTest, AForgerWhoKnowsTheHashIsFoundOneFurther) {
  links_[2].entry.outcome = "denied";
  links_[2].hash = audit_hash(links_[1].hash, links_[2].entry);
  EXPECT_EQ(faults(), Faults{changed(4)});
  links_[5].entry.outcome = "denied";
  links_[5].hash = audit_hash(links_[4].hash, links_[5].entry);
  EXPECT_EQ(faults(), (Faults{changed(4), "6: not the newest one that was written"}));
}

TEST_F(AuditChainTest, RemovedEntriesAreNamed) {
  links_.erase(links_.begin() + 2);
  EXPECT_EQ(faults(), Faults{"3: removed"});
  links_.erase(links_.begin());
  links_.erase(links_.end() - 2, links_.end());
  EXPECT_EQ(faults(), (Faults{"1: removed", "3: removed", "5-6: removed"}));
}

TEST_F(AuditChainTest, SwappedAndInsertedEntriesAreNamed) {
  std::swap(links_[1], links_[2]);
  std::swap(links_[1].entry.id, links_[2].entry.id);
  EXPECT_EQ(faults(), (Faults{changed(2), changed(3), changed(4)}));
}

TEST_F(AuditChainTest, AnEntryBehindTheHeadIsNoneOfOurs) {
  AuditChain forged = chain_;
  links_.push_back(append_to_chain(forged, {0, 1, "a", "", "b", "c", "ok"}));
  EXPECT_EQ(faults(), Faults{"7: put in behind the newest entry of the chain"});
}

TEST_F(AuditChainTest, APurgeLeavesTheChainWhole) {
  const auto all = links_;
  chain_.anchor_id = 3;
  chain_.anchor_hash = links_[2].hash;
  links_.erase(links_.begin(), links_.begin() + 3);
  EXPECT_EQ(faults(), Faults{});
  EXPECT_EQ(verified_, 3u);
  links_.insert(links_.begin(), all[1]);
  EXPECT_EQ(faults(), Faults{"2: put in before the oldest entry of the chain"});
}

TEST_F(AuditChainTest, WhatWasWrittenBeforeTheChainIsOnlyCounted) {
  chain_ = {};
  links_.clear();
  chain_.anchor_id = chain_.head_id = 2;
  add("a");
  links_.insert(links_.begin(), {{{1, 1, "old", "", "", "", ""}, {}}, {{2, 1, "old", "", "", "", ""}, {}}});
  AuditVerifier verifier(chain_);
  for (const auto& link : links_) verifier.check(link);
  verifier.finish(chain_);
  EXPECT_EQ(verifier.unchained(), 2u);
  EXPECT_EQ(verifier.verified(), 1u);
  EXPECT_EQ(verifier.fault_count(), 0u);
}

TEST_F(AuditChainTest, OnlyAPrefixIsPurged) {
  EXPECT_EQ(purge_boundary(chain_, 4, 100), 3);
  EXPECT_EQ(purge_boundary(chain_, std::nullopt, 100), 6) << "all are old";
  EXPECT_EQ(purge_boundary(chain_, 1, 100), 0);
  EXPECT_EQ(purge_boundary(chain_, 1, 2), 4) << "there are too many";
}

TEST_F(AuditChainTest, FaultsAreCountedBeyondThoseThatAreNamed) {
  AuditVerifier verifier({});
  AuditChain chain;
  for (std::size_t i = 0; i < kMaxAuditFaults + 5; ++i) {
    auto link = append_to_chain(chain, {0, 1, "a", "", "b", "c", "ok"});
    link.entry.actor = "x";
    verifier.check(link);
  }
  EXPECT_EQ(verifier.faults().size(), kMaxAuditFaults);
  EXPECT_EQ(verifier.fault_count(), kMaxAuditFaults + 5);
}

}  // namespace
}  // namespace higgs::boson
