"""The planted defects: what an honest developer could get wrong, and which tests notice.

Each replaces one text, which occurs exactly once in its file. The number in front of a name is
the line of section 6 of the design that it breaks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mutant:
    """One planted defect.

    Parameters
    ----------
    name : str
        What is wrong then.
    file : str
        Inside of the package.
    old, new : str
        What is replaced, and by what.
    tests : tuple of str
        Files or node ids, below ``tests``, at least one of which must fail.
    """

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = [
    # --- core: trees and proofs ---------------------------------------------------------------
    Mutant(
        "1 leaves and nodes are hashed alike",
        "core/hashers.py",
        "return blake3(left + right, key=self._node_key).digest()",
        "return blake3(left + right, key=self._leaf_key).digest()",
        ("core/test_merkle.py::test_roots",),
    ),
    Mutant(
        "1 the proof of a range is not compared with the root",
        "core/proofs.py",
        'require_equal("Merkle root", root, nodes[0])',
        "pass",
        ("core/test_merkle.py::test_positions_are_bound_by_the_shape_alone_only_with_the_size",),
    ),
    Mutant(
        "1 the proof of many leaves is not compared with the root",
        "core/multiproof.py",
        'require_equal("Merkle root", root, nodes[0])',
        "pass",
        ("core/test_multiproof.py::test_a_flipped_bit_anywhere_is_refused",),
    ),
    Mutant(
        "1 hashes below a node are not compared with it",
        "core/proofs.py",
        'require_equal(f"hash of node ({level}, {index})", expected, nodes[0])',
        "pass",
        ("core/test_merkle.py::test_descendants_mutations",),
    ),
    Mutant(
        "3 a proof may have hashes too many",
        "core/proofs.py",
        "if count is not None and len(hashes) != count:",
        "if count is not None and len(hashes) < count:",
        ("core/test_merkle.py::test_inclusion_mutations",),
    ),
    Mutant(
        "3 a range without leaves is proven",
        "core/proofs.py",
        'require_int("range stop", stop, start + 1, size)',
        'require_int("range stop", stop, start, size)',
        ("core/test_merkle.py::test_no_leaves_are_proven_by_their_neighbours",),
    ),
    # --- core: seals --------------------------------------------------------------------------
    Mutant(
        "1 commitments are compared by the wrong root",
        "core/seal.py",
        "return compared(*shape, self.root, self.rest)",
        "return compared(*shape, self.input_root or self.root, self.rest)",
        ("core/test_seal.py::test_replicas_are_compared_by_each_of_these",),
    ),
    Mutant(
        "1 what a domain read is not compared",
        "core/seal.py",
        "encode((self.counts, self.nbytes, self.input_root))",
        "encode((self.counts, self.nbytes))",
        ("core/test_seal.py::test_replicas_are_compared_by_each_of_these",),
    ),
    Mutant(
        "1 an opening is checked against its own root",
        "core/seal.py",
        "                if got != want:\n",
        '                if got != want and f.name != "root":\n',
        ("core/test_seal.py::test_a_true_opening_of_something_else_is_refused",),
    ),
    Mutant(
        "1 inputs are opened under the root of the output",
        "core/seal.py",
        "root=commitment.root if output else commitment.input_root,",
        "root=commitment.root,",
        ("core/test_seal.py::test_every_range_opens_and_verifies",),
    ),
    Mutant(
        "1 columns are checked against what they say of themselves",
        "core/audits.py",
        'if f.name not in ("hashes", "proof") and got != want:',
        'if f.name not in ("hashes", "proof", "root", "units") and got != want:',
        ("core/test_audits.py::test_true_columns_of_something_else_are_refused",),
    ),
    # --- core: canonical bytes and keys -------------------------------------------------------
    Mutant(
        "6 what a library made of bytes is not encoded again",
        "core/canonical/values.py",
        "    if reader.recheck:\n",
        "    if not reader.recheck:\n",
        ("core/test_canonical_malformed.py::test_malformed",),
    ),
    Mutant(
        "6 a set or dict has as many encodings as orders",
        "core/canonical/reading.py",
        "if last is not None and piece <= last:",
        "if last is not None and piece == last:",
        ("core/test_canonical_malformed.py::test_malformed",),
    ),
    Mutant(
        "6 a number has two encodings",
        "core/canonical/wire.py",
        "if count < least and major != SIMPLE:",
        "if count < 0 and major != SIMPLE:",
        ("core/test_canonical_malformed.py::test_malformed",),
    ),
    Mutant(
        "6 bytes may follow a value",
        "core/canonical/wire.py",
        "if self.pos != len(self.data):",
        "if self.pos > len(self.data):",
        ("core/test_canonical_malformed.py::test_malformed",),
    ),
    Mutant(
        "6 every NaN keeps its payload",
        "core/canonical/records.py",
        "        values[bad] = math.nan\n",
        "",
        ("core/test_canonical_values.py::test_equal_values_built_differently",),
    ),
    Mutant(
        "6 garbage under nulls is part of the value",
        "core/canonical/arrow.py",
        "        flat.reshape(len(array), width)[_null_mask(array)] = 0\n",
        "",
        ("core/test_canonical_tables.py::test_garbage_under_nulls_does_not_matter",),
    ),
    Mutant(
        "5 a message may hold frames and objects",
        "core/canonical/reading.py",
        "if reader.plain:",
        "if reader.plain and tag < 0:",
        ("fuzz/test_corpus.py::test_a_malformed_file_is_refused_as_its_name_says",),
    ),
    Mutant(
        "5 an error fails to show a hostile value",
        "core/canonical/wire.py",
        "    except Exception:\n        said =",
        "    except KeyError:\n        said =",
        ("fuzz/test_corpus.py::test_a_malformed_file_is_refused_as_its_name_says",),
    ),
    Mutant(
        "7 the bucket of a key depends on the hash seed",
        "core/keys.py",
        'return int.from_bytes(digest, "big") % buckets',
        "return hash(digest) % buckets",
        ("core/test_keys.py::test_vectors",),
    ),
    Mutant(
        "7 equal keys of two types are two groups",
        "core/keys.py",
        "        normal = normal_key(key)\n",
        "        normal = (type(key), normal_key(key))\n",
        ("core/test_keys.py::test_classes_are_groups",),
    ),
    Mutant(
        "2 a key under which anybody can sign is a good one",
        "core/public_keys.py",
        "    if y in _SMALL:\n",
        "    if y in ():\n",
        (
            "core/test_public_keys.py::test_the_small_ones_are_the_eight_points_of_order_eight_and_less",
        ),
    ),
    # --- protocol: who counts -----------------------------------------------------------------
    Mutant(
        "1 a commitment needs no signature",
        "protocol/quorum.py",
        "    domain.verify(CONTEXT, payload, signature)\n",
        "",
        ("protocol/test_quorum.py::test_a_changed_byte_is_refused",),
    ),
    Mutant(
        "1 a commitment to another job counts",
        "protocol/quorum.py",
        '        ("job", job),\n',
        "",
        ("protocol/test_quorum.py::test_a_replay_elsewhere_is_refused",),
    ),
    Mutant(
        "1 a commitment to other inputs counts",
        "protocol/quorum.py",
        '        ("inputs", inputs),\n',
        "",
        ("protocol/test_quorum.py::test_a_replay_elsewhere_is_refused",),
    ),
    Mutant(
        "1 a commitment to another partition counts",
        "protocol/quorum.py",
        '        ("partition", task.partition),\n',
        "",
        ("protocol/test_quorum.py::test_a_replay_elsewhere_is_refused",),
    ),
    Mutant(
        "1 whoever signs two things counts for both",
        "protocol/quorum.py",
        "elif name in (first := voters[said[name]]):\n                    first.remove(name)",
        "elif name not in names:\n                    names.append(name)",
        ("protocol/test_quorum.py::test_a_self_contradictor_counts_for_nothing_but_stays_visible",),
    ),
    Mutant(
        "1 one vote too few is enough",
        "protocol/quorum.py",
        "if len(voters[digest]) >= quorum]",
        "if len(voters[digest]) >= quorum - 1]",
        ("protocol/test_quorum.py::test_winners_need_the_quorum",),
    ),
    Mutant(
        "1 an exposed domain goes on counting",
        "protocol/quorum.py",
        "return [c for c in self.claims if c.domain not in excluded]",
        "return list(self.claims)",
        ("protocol/test_quorum.py::test_excluded_domains_count_for_nothing",),
    ),
    Mutant(
        "1 as many as may be faulty agree among themselves",
        "protocol/board.py",
        "full = policy.faults + 1",
        "full = policy.faults",
        (
            "protocol/test_quorum.py::test_a_quorum_always_holds_an_honest_domain_that_is_not_exposed",
        ),
    ),
    Mutant(
        "1 one key counts under two names",
        "protocol/board.py",
        "if len(sharing) > 1:",
        "if len(sharing) > 2:",
        ("protocol/test_board.py::test_one_key_under_two_names_is_named",),
    ),
    Mutant(
        "4 fewer, larger units are as good as planned ones",
        "protocol/board.py",
        "and self._cut_as_planned(commitment)",
        "and True",
        ("protocol/test_board.py::test_fewer_units_than_planned_would_be_drawn_less_often",),
    ),
    Mutant(
        "1 a signature in one context is good in all",
        "protocol/domain.py",
        'return _PREFIX + context.encode() + b"\\0" + payload',
        "return _PREFIX + payload",
        (
            "protocol/test_domain.py::test_a_signature_verifies_for_its_context_payload_and_key_only",
        ),
    ),
    # --- protocol: events ---------------------------------------------------------------------
    Mutant(
        "1 an event about replaced inputs is taken",
        "protocol/job.py",
        "inputs not in (None, state.inputs)",
        "inputs is False",
        (
            "protocol/test_job.py::test_events_about_unknown_tasks_domains_or_old_inputs_change_nothing",
        ),
    ),
    Mutant(
        "1 an exposed domain is heard",
        "protocol/job.py",
        "return executor in self._domains and executor not in self.exposed",
        "return executor in self._domains",
        ("protocol/test_job_serving.py::test_a_signed_wrong_opening_exposes_its_holder_once",),
    ),
    Mutant(
        "3 a commitment of any shape is accepted",
        "protocol/job.py",
        "            self.plan.check_shape(claim.commitment)\n",
        "",
        ("protocol/test_job.py::test_impossible_shapes_never_become_claims_even_of_a_majority",),
    ),
    Mutant(
        "2 garbage in a domain's name exposes it",
        "protocol/job.py",
        "            self._lost(event.task, state, event.domain, str(error))\n",
        "            self._expose((event.domain,))\n",
        ("protocol/test_job.py::test_a_commitment_to_something_else_is_no_answer",),
    ),
    Mutant(
        "2 a timeout exposes",
        "protocol/job.py",
        "        self._crew.suspect([domain], f",
        "        self._crew.expose([domain]); self._crew.suspect([domain], f",
        ("protocol/test_job.py::test_a_commitment_to_something_else_is_no_answer",),
    ),
    Mutant(
        "2 a wrong opening exposes whoever did not sign for the task",
        "protocol/job.py",
        "if event.domain not in state.ballot.domains():",
        "if event.domain not in self._domains:",
        (
            "protocol/test_job_serving.py::test_whoever_signed_nothing_for_a_task_served_nothing_wrong_of_it",
        ),
    ),
    Mutant(
        "8 a partition that everybody has lost is not made again",
        "protocol/agreement.py",
        "            self._out += self._crew.restore(task, state)\n",
        "",
        (
            "protocol/test_job_serving.py::test_a_lost_copy_blames_nobody_and_the_last_is_made_again",
        ),
    ),
    Mutant(
        "3 the reduces start before the maps are audited",
        "protocol/agreement.py",
        "if self._open[MAP] or not self.audits.settled(MAP):",
        "if self._open[MAP]:",
        ("protocol/test_challenges.py::test_reduce_waits_for_the_audits_of_every_map",),
    ),
    Mutant(
        "3 records that were read are not counted against those that were emitted",
        "protocol/agreement.py",
        "if claim.commitment.records_in != self._emitted[task.partition]:",
        "if claim.commitment.records_in < 0:",
        ("protocol/test_audit.py::test_whoever_signed_another_number_of_records_is_exposed",),
    ),
    Mutant(
        "10 the faulty alone make a job fail",
        "protocol/agreement.py",
        "if len(credible) <= self.plan.policy.faults - len(self.exposed):",
        "if len(credible) < self.plan.policy.faults - len(self.exposed):",
        ("protocol/test_job.py::test_a_failing_domain_is_suspected_only_once_others_succeed",),
    ),
    Mutant(
        "10 the verdict does not wait for what is being checked",
        "protocol/agreement.py",
        "checked = audited and self._docket.idle and not self._weak and not self._recounts",
        "checked = audited",
        (
            "protocol/test_blame.py::test_the_verdict_waits_for_the_arbitration_of_what_is_already_agreed",
        ),
    ),
    Mutant(
        "3 a job without any check is sampled",
        "protocol/agreement.py",
        "if self.plan.policy.replicas == 1 and not self.plan.policy.audited:",
        "if self.plan.policy.replicas < 1:",
        ("protocol/test_job.py::test_one_replica_checks_nothing_and_is_inconclusive",),
    ),
    Mutant(
        "1 more than may be faulty are exposed, and the job goes on",
        "protocol/disputes.py",
        "if len(self.exposed) > self.plan.policy.faults:",
        "if len(self.exposed) > self.plan.policy.faults + 1:",
        ("protocol/test_job_serving.py::test_more_exposed_than_may_be_faulty_is_inconclusive",),
    ),
    Mutant(
        "1 what an exposed domain did is not redone",
        "protocol/disputes.py",
        "            if not (involved or task in reopened) or self._tasks[task] is not state:\n",
        "            if True:\n",
        (
            "protocol/test_job.py::test_a_finding_about_the_old_reduce_stage_decides_nothing_about_the_new_one",
        ),
    ),
    Mutant(
        "2 cells of a map that is being replaced are held against who reduced them",
        "protocol/disputes.py",
        "if [self._tasks[Task(MAP, i)].accepted for i in range(self.plan.maps)] != self._sources:",
        "if not self._sources:",
        ("protocol/test_audit.py::test_counts_of_a_map_that_is_being_replaced_blame_nobody",),
    ),
    Mutant(
        "1 an exposed domain is suspected again, and asked",
        "protocol/staffing.py",
        "if self.standing.get(domain) is Standing.TRUSTED:",
        "if domain in self.standing:",
        ("protocol/test_staffing.py",),
    ),
    # --- protocol: blame ----------------------------------------------------------------------
    Mutant(
        "2 a misread from a source that changed exposes",
        "protocol/blame.py",
        "    if finding.read and not finding.source_ok:\n",
        "    if finding.read and finding.stable is None:\n",
        ("protocol/test_blame.py::test_a_changed_source_makes_suspects_at_most",),
    ),
    Mutant(
        "2 another environment exposes",
        "protocol/blame.py",
        "blamed = [d for d in wrong if same_environment(d, COORDINATOR, plan)]",
        "blamed = list(wrong)",
        ("protocol/test_blame.py::test_a_domain_of_another_environment_is_not_exposed",),
    ),
    Mutant(
        "2 a referee may contradict more than may be faulty",
        "protocol/blame.py",
        "if len({*exposed, *blamed}) > plan.policy.faults and blamed:",
        "if len({*exposed, *blamed}) > plan.policy.faults + 1 and blamed:",
        (
            "protocol/test_blame.py::test_a_referee_that_contradicts_more_than_f_domains_has_found_non_determinism",
        ),
    ),
    Mutant(
        "2 as many as may be faulty outvote one",
        "protocol/blame.py",
        "            if len(peers) > plan.policy.faults:\n",
        "            if len(peers) >= plan.policy.faults:\n",
        ("protocol/test_blame.py::test_one_signature_and_a_stand_in_expose_nobody",),
    ),
    Mutant(
        "2 an unstable referee blames",
        "protocol/blame.py",
        "    if not finding.stable:\n",
        "    if finding.stable is None:\n",
        ("protocol/test_blame.py::test_an_unstable_referee_ends_the_job_and_exposes_nobody",),
    ),
    Mutant(
        "2 the coordinator votes against a domain",
        "protocol/blame.py",
        "state.ballot.voters(exposed).get(accepted.digest, ()) if d != COORDINATOR]",
        "state.ballot.voters(exposed).get(accepted.digest, ()) if d]",
        ("protocol/test_blame.py::test_one_signature_and_a_stand_in_expose_nobody",),
    ),
    Mutant(
        "2 votes blame whoever read a source that changed",
        "protocol/blame.py",
        "if differs and (source_ok or _read_alike((accepted, claim))):",
        "if differs:",
        (
            "protocol/test_blame.py::test_votes_expose_a_liar_but_nobody_who_read_a_source_that_changed",
        ),
    ),
    Mutant(
        "2 the referee maps what a liar made up",
        "protocol/dispute.py",
        "if difference is not None and tree == OUTPUT and (vouched or task.stage != MAP):",
        "if difference is not None and tree == OUTPUT:",
        (
            "protocol/test_dispute.py::test_inputs_that_nobody_vouches_for_are_not_given_to_the_referee",
        ),
    ),
    Mutant(
        "2 the referee believes whatever is opened",
        "protocol/dispute.py",
        "        opening.verify(request)\n",
        "        pass\n",
        ("protocol/test_dispute.py::test_leaves_that_contradict_the_signed_root_are_not_believed",),
    ),
    Mutant(
        "2 the referee's runs differ, and one of them convicts",
        "protocol/dispute.py",
        "    if len(hashes) > 1:\n",
        "    if not hashes:\n",
        ("protocol/test_dispute.py::test_runs_of_a_unit_that_differ_make_the_referee_unstable",),
    ),
    Mutant(
        "2 an auditor that is right is the liar",
        "protocol/weighing.py",
        "if hashes_said(answer, unit) != truth else ()",
        "if hashes_said(answer, unit) == truth else ()",
        ("protocol/test_weighing.py",),
    ),
    # --- protocol: audits ---------------------------------------------------------------------
    Mutant(
        "4 units are drawn before the commitment",
        "protocol/draws.py",
        'self._stream("unit", *task, inputs, commitment), []',
        'self._stream("unit", *task, inputs), []',
        ("protocol/test_draws.py::test_everything_that_names_a_draw_changes_it",),
    ),
    Mutant(
        "4 auditors are drawn before the commitment",
        "protocol/draws.py",
        'self._stream("auditors", *task, inputs, commitment)',
        'self._stream("auditors", *task, inputs)',
        ("protocol/test_draws.py::test_everything_that_names_a_draw_changes_it",),
    ),
    Mutant(
        "4 the seed can be chosen afterwards",
        "protocol/terms.py",
        "            self.seed_digest,\n",
        "",
        ("protocol/test_terms.py::test_every_term_changes_the_id",),
    ),
    Mutant(
        "4 no unit is drawn for certain",
        "protocol/sampling.py",
        "if task.partition != self._chosen[task.stage]:",
        "if task.partition >= 0:",
        ("protocol/test_sampling.py::test_one_partition_of_each_stage_is_sampled_at_any_rate",),
    ),
    Mutant(
        "4 units are gathered for whom nobody drew",
        "protocol/audit.py",
        "names = sorted(self._domains.keys() - signers)",
        "names = sorted(self._domains.keys())",
        (
            "protocol/test_challenges.py::test_every_unit_has_the_auditor_that_was_drawn_for_it_alone",
        ),
    ),
    Mutant(
        "3 a stage is settled while it is audited",
        "protocol/audit.py",
        "return not self._open[stage] and not (stage == MAP and self._undrawn)",
        "return not (stage == MAP and self._undrawn)",
        ("protocol/test_challenges.py::test_reduce_waits_for_the_audits_of_every_map",),
    ),
    Mutant(
        "3 an audit without a signature counts",
        "protocol/answers.py",
        "        domains[challenge.domain].verify(ANSWER_CONTEXT, statement, signature)\n",
        "",
        ("protocol/test_challenges.py::test_a_signature_of_another_domain_is_no_answer",),
    ),
    Mutant(
        "3 an answer to another question is taken",
        "protocol/answers.py",
        "if answer != _wanted(answer, challenge, job, event.questions) or not fits:",
        "if not fits:",
        ("protocol/test_challenges.py::test_an_answer_to_something_else_is_no_answer",),
    ),
    Mutant(
        "1 only the first leaf of an audit is compared",
        "protocol/answers.py",
        "at = first_difference(answer.hashes, event.expected)",
        "at = first_difference(answer.hashes[:1], event.expected[:1])",
        ("protocol/test_challenges.py::test_an_answer_is_compared_leaf_by_leaf",),
    ),
    # --- protocol: serving and closing --------------------------------------------------------
    Mutant(
        "5 leaves are believed without their proof",
        "protocol/serving.py",
        "return opening and opening.proven()",
        "return opening",
        ("protocol/test_serving.py::test_a_signed_lie_is_refused_and_convicts_without_the_data",),
    ),
    Mutant(
        "2 a complaint without a signature convicts",
        "protocol/serving.py",
        "        domain.verify(CONTEXT, encode(said), signature)\n",
        "",
        ("protocol/test_serving.py::test_a_lie_that_another_signed_does_not_convict",),
    ),
    Mutant(
        "2 a statement that was not signed convicts",
        "protocol/serving.py",
        "    if _digest(statement) not in said:\n",
        "    if not said:\n",
        (
            "protocol/test_serving.py::test_an_accusers_own_leaves_under_an_honest_signature_do_not_convict",
        ),
    ),
    Mutant(
        "2 an opening of something else convicts",
        "protocol/serving.py",
        "for n in (*_COMMON, *_OWN)):\n",
        "for n in _COMMON):\n",
        ("protocol/test_serving.py::test_what_was_signed_of_something_else_does_not_convict",),
    ),
    Mutant(
        "2 a domain closes over what it did not sign",
        "protocol/closing.py",
        "    domain.verify(COMMITMENT_CONTEXT, payload, signature)\n",
        "",
        ("protocol/test_closing.py::test_nothing_is_closed_over_that_somebody_else_signed",),
    ),
    Mutant(
        "3 any closing of a domain is taken",
        "protocol/closing.py",
        "if payload != expected.to_bytes():",
        "if not payload:",
        ("protocol/test_closing.py::test_a_closing_is_over_everything_in_order",),
    ),
    # --- evidence -----------------------------------------------------------------------------
    Mutant(
        "3 an envelope is not verified",
        "evidence/envelope.py",
        "        envelope.verify([public], threshold=1)\n",
        "        pass\n",
        ("evidence/test_envelope.py::test_a_signature_is_over_this_payload_and_type_by_this_key",),
    ),
    Mutant(
        "3 the signatures of a receipt are not verified",
        "evidence/receipts/checking.py",
        "    check_signatures(receipt)\n",
        "",
        ("evidence/receipts/test_checking.py::test_a_signer_cannot_be_added",),
    ),
    Mutant(
        "3 one key counts under two names in a receipt",
        "evidence/receipts/counting.py",
        "found[partition].add(key)",
        "found[partition].add(name.encode())",
        ("evidence/receipts/test_checking.py::test_votes_are_counted_by_keys_and_not_by_names",),
    ),
    Mutant(
        "3 an exposed domain counts in a receipt",
        "evidence/receipts/counting.py",
        "if p.key in trusted and p.name not in exposed}",
        "if p.key in trusted}",
        ("evidence/receipts/test_checking.py::test_an_exposed_domain_does_not_count",),
    ),
    Mutant(
        "3 a domain that signed two things counts in a receipt",
        "evidence/receipts/counting.py",
        "if (name, partition) not in double:",
        "if (name, partition):",
        (
            "evidence/receipts/test_checking.py::test_who_signed_something_else_too_counts_for_neither",
        ),
    ),
    Mutant(
        "4 any seed is the one that the job bound",
        "evidence/receipts/redrawing.py",
        "if seed_digest(sampled.seed) != bound:",
        "if not bound:",
        ("evidence/receipts/test_checking.py::test_the_seed_is_the_one_that_the_job_bound",),
    ),
    Mutant(
        "4 challenges that were not met are not missed",
        "evidence/receipts/redrawing.py",
        "if wanted.whole or missing:",
        "if wanted.whole:",
        (
            "evidence/receipts/test_checking.py::test_no_check_that_was_drawn_can_be_left_out_or_made_up",
        ),
    ),
    Mutant(
        "4 an auditor is its own replica",
        "evidence/receipts/redrawing.py",
        "self.enrolled.intersection(signers) - {row.auditor})",
        "self.enrolled.intersection(signers))",
        ("evidence/receipts/test_checking.py::test_a_replica_is_no_auditor",),
    ),
    Mutant(
        "2 as many as may be faulty convict in a receipt",
        "evidence/receipts/convicting.py",
        "len(others) > receipt.terms.policy.faults",
        "len(others) >= receipt.terms.policy.faults",
        ("evidence/receipts/test_checking.py::test_votes_of_strangers_blame_nobody",),
    ),
    Mutant(
        "3 a culprit is left out of those who are exposed",
        "evidence/receipts/convicting.py",
        "    if exposed != proven:\n",
        "    if exposed - proven:\n",
        ("evidence/receipts/test_checking.py::test_a_cheat_cannot_be_acquitted",),
    ),
    Mutant(
        "3 only the first partition of the data is compared",
        "evidence/data/leaves.py",
        "        if root != got:\n",
        "        if root != got and not partition:\n",
        ("evidence/data/test_leaves.py::test_changed_pairs_name_their_partition",),
    ),
    Mutant(
        "3 a domain is twice in a trust file",
        "evidence/enrolment/trust.py",
        "        if times > 1:\n",
        "        if times > 2:\n",
        ("evidence/enrolment/test_trust.py::test_what_nobody_can_be",),
    ),
    Mutant(
        "3 a name in JSON says two things",
        "evidence/fields.py",
        "        if name in found:\n",
        "        if name in ():\n",
        ("evidence/test_fields.py::test_it_is_one_object_that_says_everything_once",),
    ),
    Mutant(
        "3 what nobody reads is passed over",
        "evidence/fields.py",
        "        if self._unread:\n",
        "        if self._unread is None:\n",
        ("evidence/test_fields.py::test_nothing_is_left_unread",),
    ),
    Mutant(
        "2 an exhibit's opening convicts whoever did not sign it",
        "evidence/exhibits/checks.py",
        "if same and convicts(exhibit.opening, request, domain):",
        "if same:",
        ("evidence/exhibits/test_exhibit.py::test_a_right_opening_convicts_nobody",),
    ),
    Mutant(
        "2 an exhibit is of the key that it names itself",
        "evidence/exhibits/exhibit.py",
        "        if exhibit.terms.coordinator != key:\n",
        "        if exhibit.terms.coordinator is key is None:\n",
        (
            "evidence/exhibits/test_adversary.py::test_nobody_signs_an_exhibit_of_another_coordinators_job",
        ),
    ),
    # --- engine -------------------------------------------------------------------------------
    Mutant(
        "1 a reducer takes sections as they come",
        "engine/tasks.py",
        "            opening.verify(self.request(opening.partition, opening.domain))\n",
        "            self.request(opening.partition, opening.domain)\n",
        ("engine/test_tasks.py::test_a_section_is_taken_only_if_it_belongs_to_the_accepted_root",),
    ),
    Mutant(
        "2 a worker works in another domain's name",
        "engine/tasks.py",
        '        _expect("domain", side.domain, order.domain)\n',
        "",
        ("engine/test_tasks.py::test_an_order_for_another_domain_is_refused",),
    ),
    Mutant(
        "1 a worker runs other functions than the job's",
        "engine/tasks.py",
        '        _expect("functions", digest("functions", functions), order.functions)\n',
        "",
        ("engine/test_tasks.py::test_other_functions_than_ordered_are_not_unpickled",),
    ),
    Mutant(
        "1 a worker reduces other maps than it was assigned",
        "engine/tasks.py",
        '        _expect("table of accepted maps", digest("table", table), order.table)\n',
        "",
        ("engine/test_tasks.py::test_another_table_than_ordered_is_refused",),
    ),
    Mutant(
        "2 a worker signs what was asked of another domain",
        "engine/worker.py",
        "if wanted.domain != self.domain:",
        "if not wanted.domain:",
        ("engine/test_worker.py::test_what_it_did_not_commit_to_is_not_answered",),
    ),
    Mutant(
        "2 a worker signs under a root that somebody made up",
        "engine/worker.py",
        "same = (wanted.root, wanted.size) == (tree.root, len(leaves))",
        "same = bool(tree.root)",
        ("engine/test_worker.py::test_what_it_did_not_commit_to_is_not_answered",),
    ),
    Mutant(
        "1 the columns that an audit is compared with are not proven",
        "engine/reader.py",
        "            columns.verify(request)\n",
        "",
        ("engine/test_reader.py::test_columns_count_only_if_they_belong_to_the_signed_root",),
    ),
    Mutant(
        "2 a wrong opening convicts whoever never committed to its root",
        "engine/reader.py",
        "if domain and (request.root, request.size) in own and convicts",
        "if domain and convicts",
        (
            "engine/test_reader.py::test_nobody_is_reported_for_a_root_or_size_that_another_committed_to",
        ),
    ),
    Mutant(
        "5 an answer without a commitment is one",
        "engine/answers.py",
        "0 < len(wires) <= _WIRES",
        "len(wires) <= _WIRES",
        ("engine/test_answers.py::test_everything_else_is_no_answer",),
    ),
    Mutant(
        "2 a worker's key need not be proven",
        "engine/membership.py",
        ".verify(CONTEXT, signed, signature)\n",
        "\n",
        ("engine/test_membership.py::test_who_has_another_key_stays_outside",),
    ),
    Mutant(
        "2 an old proof of membership is good for ever",
        "engine/membership.py",
        "if claim is None or not _is_nonce(nonce) or nonce != claim.nonce:",
        "if claim is None or not _is_nonce(nonce):",
        ("engine/test_membership.py::test_nonces_are_fresh_and_a_proof_counts_once",),
    ),
    Mutant(
        "2 a proof for another scheduler is good here",
        "engine/membership.py",
        "        if reached not in own:\n",
        "        if not own:\n",
        (
            "engine/test_membership.py::test_a_member_that_works_for_another_scheduler_proves_nothing_here",
        ),
    ),
    Mutant(
        "2 a proof about another worker is good for this one",
        "engine/membership.py",
        'return "" if about == worker else',
        'return "" if about else',
        (
            "engine/test_membership.py::test_a_nonce_that_is_passed_on_makes_no_proof_for_who_passes_it_on",
        ),
    ),
    Mutant(
        "8 a task goes to any domain when its own is gone",
        "engine/plugin.py",
        "task.loose_restrictions = False",
        "task.loose_restrictions = True",
        ("engine/test_plugin.py::test_restrictions_follow_the_domain_and_are_never_empty",),
    ),
    Mutant(
        "8 workers that come late are not seen",
        "engine/plugin.py",
        "task.worker_restrictions = self._addresses(str(domain))",
        "task.worker_restrictions = set(self._addresses(str(domain)))",
        ("engine/test_plugin.py::test_restrictions_follow_the_domain_and_are_never_empty",),
    ),
    Mutant(
        "2 waiting behind other work makes a task late",
        "engine/dispatch.py",
        "min(self.taken_at - flight.started, idle, self.taken_at - queued.heard)",
        "self.taken_at - flight.started",
        (
            "engine/test_dispatch.py::test_waiting_behind_own_work_that_gets_done_makes_nothing_late",
        ),
    ),
    Mutant(
        "8 a task that is left aside is never late",
        "engine/dispatch.py",
        "return self.taken_at - flight.started > limit * (1 + flight.ahead) + flight.behind",
        "return False",
        (
            "engine/test_dispatch.py::test_a_task_that_is_left_aside_is_late_however_busy_its_domain_is",
        ),
    ),
    Mutant(
        "8 tasks that wait behind those of another job are late",
        "engine/dispatch.py",
        "max(limit, queued.longest)",
        "limit",
        ("engine/test_dispatch.py::test_tasks_wait_behind_those_of_another_job_and_are_not_late",),
    ),
    Mutant(
        "2 who answers at once makes others look late",
        "engine/pace.py",
        "medians[self.faults]",
        "medians[0]",
        ("engine/test_pace.py::test_those_who_may_be_faulty_do_not_say_how_fast_others_are",),
    ),
    Mutant(
        "8 a holder that is silent is waited for again and again",
        "engine/asking.py",
        "grudges.silent(*holder, began)",
        "pass",
        ("engine/test_asking.py::test_who_never_greets_is_waited_for_once",),
    ),
    Mutant(
        "2 a file that was written anew has not changed",
        "engine/sources.py",
        "for name in (*_CHECKSUMS, *_TIMES) if",
        "for name in _CHECKSUMS if",
        ("engine/test_sources.py::test_changes_are_seen",),
    ),
    Mutant(
        "2 a task that names no file reads none",
        "engine/sources.py",
        "if None in found or (not found and _may_read(leaf)):",
        "if None in found:",
        ("engine/test_sources.py::test_what_may_read_anything",),
    ),
    Mutant(
        "5 an answer of a worker may be any object",
        "engine/plain.py",
        "        elif type(value) not in _PLAIN:\n",
        "        elif value is NotImplemented:\n",
        ("engine/test_pool.py::test_plain_values",),
    ),
    # --- after the verdict -------------------------------------------------------------------
    Mutant(
        "1 an answer that was replaced while it was read is returned",
        "engine/result.py",
        "if leaves is not None and self._stand(outputs):",
        "if leaves is not None:",
        ("engine/test_result.py::test_what_is_replaced_while_it_is_read_is_read_anew",),
    ),
    Mutant(
        "1 an answer is returned although its verdict was withdrawn while it was read",
        "engine/result.py",
        "if self.driver.resting and not self.lost() else None",
        "if self.driver.resting else None",
        ("engine/test_result.py::test_an_answer_that_is_lost_while_it_is_read_is_none",),
    ),
    Mutant(
        "1 what the coordinator holds itself is believed",
        "engine/own.py",
        "        opening.verify(request)\n",
        "",
        ("engine/test_own.py",),
    ),
    Mutant(
        "1 a stand-in that was overtaken replaces the newer one",
        "engine/arbiter.py",
        "if not self._assigned(task, inputs):",
        "if task is None:",
        ("engine/test_arbiter.py",),
    ),
    Mutant(
        "1 leaves that travel with a graph are believed",
        "engine/collection.py",
        "if leaves and _fit(commitment, leaves):",
        "if leaves:",
        ("engine/test_collection.py::test_what_travels_with_the_graph_is_checked_too",),
    ),
    Mutant(
        "2 a domain is late with what was taken back",
        "engine/carrier.py",
        "return flight is not None and flight.future is future",
        "return flight is not None",
        ("engine/test_connections.py::test_what_we_took_back_says_nothing_of_what_we_asked_again",),
    ),
    Mutant(
        "6 a receipt is of an answer that is being made again",
        "evidence/receipts/drafting.py",
        "if announced and state.resting else None",
        "if announced else None",
        ("evidence/receipts/test_simulated.py::test_what_is_being_made_again_is_no_answer",),
    ),
    Mutant(
        "8 a job rests while something of its answer is made again",
        "protocol/agreement.py",
        "return self.finished is not None and not (self.finished.verdict.answered and",
        "return self.finished is not None and (self.finished.verdict.answered or",
        ("protocol/test_resting.py",),
    ),
    Mutant(
        "8 those whom the verdict has stopped are waited for",
        "protocol/board.py",
        "        for domain in self.running - {COORDINATOR}:\n",
        "        for domain in ():\n",
        ("protocol/test_resting.py",),
    ),
    Mutant(
        "2 those who hang on made-up input are not trusted again",
        "protocol/agreement.py",
        "        for domain in self._crew.pardon():\n",
        "        for domain in ():\n",
        ("protocol/test_poison.py",),
    ),
    Mutant(
        "8 a referee is asked for ever about whom it may not blame",
        "protocol/agreement.py",
        "if times >= _SPARED)",
        "if times < 0)",
        ("protocol/test_unlike.py",),
    ),
    Mutant(
        "8 each of a domain's workers has a patience of its own",
        "engine/reader.py",
        "found |= self._group(domain, str(address), group, what, reading, patience)",
        "found |= self._group(domain, str(address), group, what, reading, Patience())",
        ("engine/test_reader.py",),
    ),
    Mutant(
        "8 finding out who lies queues behind what liars keep waiting",
        "engine/beside.py",
        "started = self._executors[bool(about)].submit(call)",
        "started = self._executors[True].submit(call)",
        ("engine/test_beside.py",),
    ),
]
