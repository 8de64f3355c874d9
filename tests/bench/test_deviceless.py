"""The reader of compiled programs behind tests/benchmarks/deviceless.py; nothing is compiled."""

import pytest

from tests.benchmarks.bundles import cycles_of_operation, cycles_of_turn, listings
from tests.benchmarks.hlo import Arrays, arrays_of, regions

PROGRAM = """
HloModule jit_segment

%fused (p0: f32[8,40]) -> f32[8,40] {
  %p0 = f32[8,40]{1,0} parameter(0)
  ROOT %twice = f32[8,40]{1,0} add(%p0, %p0)
}

%yes (p1: (f32[8,40])) -> (f32[8,40]) {
  %p1 = (f32[8,40]{1,0}) parameter(0)
  %g1 = f32[8,40]{1,0} get-tuple-element(%p1), index=0
  %checked = f32[8,40]{1,0} fusion(%g1, %g1), kind=kLoop, calls=%fused, metadata={op_name="check"}
  ROOT %t1 = (f32[8,40]{1,0}) tuple(%checked)
}

%no (p2: (f32[8,40])) -> (f32[8,40]) {
  ROOT %p2 = (f32[8,40]{1,0}) parameter(0)
}

%four (p3: (s32[])) -> pred[] {
  %p3 = (s32[]) parameter(0)
  %i3 = s32[] get-tuple-element(%p3), index=0
  %end = s32[] constant(4)
  ROOT %less = pred[] compare(%i3, %end), direction=LT
}

%lane (p4: (s32[], f32[8,40])) -> (s32[], f32[8,40]) {
  %p4 = (s32[], f32[8,40]{1,0}) parameter(0)
  %rows = f32[8,40]{1,0} get-tuple-element(%p4), index=1
  %row = f32[1,40]{1,0} dynamic-slice(%rows, %rows), dynamic_slice_sizes={1,40}
  ROOT %t4 = (s32[], f32[8,40]{1,0}) tuple(%p4, %rows)
}

%unknown (p5: (s32[])) -> pred[] {
  %p5 = (s32[]) parameter(0)
  ROOT %goes_on = pred[] fusion(%p5), kind=kLoop, calls=%fused
}

%turn (p6: (s32[], f32[8,40])) -> (s32[], f32[8,40]) {
  %p6 = (s32[], f32[8,40]{1,0}) parameter(0)
  %x6 = f32[8,40]{1,0} get-tuple-element(%p6), index=1
  %step = f32[8,40]{1,0:T(8,128)S(1)} fusion(%x6), kind=kLoop, calls=%fused, \
metadata={op_name="step"}, \
backend_config={"window_config":{"estimated_cycles":"80","iteration_bounds":["3","1","2"]}}
  %checks = (f32[8,40]{1,0}) conditional(%x6, %x6, %x6), branch_computations={%no, %yes}
  %lanes = (s32[], f32[8,40]{1,0}) while(%p6), condition=%four, body=%lane
  ROOT %t6 = (s32[], f32[8,40]{1,0}) tuple(%p6, %step)
}

ENTRY %main (a: f32[8,40]) -> f32[8,40] {
  %a = f32[8,40]{1,0} parameter(0)
  %start = (f32[8,40]{1,0:S(1)}, f32[8,40]{1,0}, u32[]{:S(2)}) copy-start(%a)
  %loop = (s32[], f32[8,40]{1,0}) while(%a), condition=%unknown, body=%turn
  ROOT %out = f32[8,40]{1,0} get-tuple-element(%loop), index=1
}
"""
BLOCK = 4 * 8 * 40


@pytest.mark.parametrize(
    ("types", "memory", "chip"),
    [
        ("f32[8,40]{1,0}", BLOCK, 0),
        ("f32[8,40]{1,0:T(8,128)}", 4 * 8 * 128, 0),
        ("f32[8,40]{0,1:T(8,128)}", 4 * 128 * 40, 0),  # lanes last: 40 is a multiple of 8
        ("f32[1024,7,40]{0,1,2:T(8,128)S(1)}", 0, 4 * 1024 * 8 * 40),
        ("(s32[]{:T(128)}, bf16[3]{0:T(1024)S(1)})", 4, 2 * 1024),
        ("token[]", 0, 0),
    ],
)
def test_arrays_count_with_their_tiles_by_memory(types, memory, chip):
    assert arrays_of(types) == Arrays(memory, chip)


def test_turns_and_branches_are_counted_apart():
    found = regions(PROGRAM)
    assert set(found) == {
        "call", "call/turn", "call/turn/if branch 0", "call/turn/if branch 1"
    }  # fmt: skip
    assert (found["call"].memory_bytes, found["call"].chip_bytes) == (BLOCK, BLOCK)
    check = found["call/turn/if branch 1"]
    assert (check.memory_bytes, check.launches) == (3 * BLOCK, 1)
    assert check.largest == [(3 * BLOCK, "check")]
    assert found["call/turn/if branch 0"].launches == 0


def test_a_loop_of_known_length_counts_that_often_and_slices_as_what_is_read():
    """One that slices each of 4 rows counts 4 rows read and written, not 4 times all of them."""
    turn = regions(PROGRAM)["call/turn"]
    slices = 4 * 2 * 4 * 40
    assert turn.memory_bytes == BLOCK + slices
    assert turn.chip_bytes == 4 * 8 * 128
    assert turn.launches == 1 + 4
    assert turn.cycles == 80
    assert turn.largest[1] == (slices, "4 times: row")


LISTING = """
     0   :  { start }
   0x1 LB: > { of a block }
   0x2 LB: >> { of a step }
   0x3 LB: >>> { %p1 = scmp.ge.s32.totalorder %s1, 10 /* loop exit test */ }
   0x4 LB: >>>> { %p2 = scmp.ge.s32.totalorder (%p1), %s2, 3 /* loop exit test */ }
   0x5   : >>>> { %5 = sbr.rel (!%p2) target = $region1 }
   0x6   : >> { told one loop less ;; %6 = sbr.rel (!%p1) target = $region2 }
   0x7 LB: >>> { %p3 = scmp.ge.s32.totalorder %s3, 7 /* loop exit test */ }
   0x8   : >>> { %8 = sbr.rel (!%p3) target = $region3 }
   0x9   : >> { %p4 = scmp.gt.f32.partialorder %s4, 0.0 ;; %9 = sbr.rel (!%p4) target = $region4 }
   0xa   : > { %p5 = scmp.ge.s32.totalorder %s5, 8 /* loop exit test */ }
   0xb   : > { %11 = sbr.rel (!%p5) target = $region5 }
"""


def test_cycles_are_the_bundles_of_a_step_by_the_turns_around_them():
    of_a_step, of_a_tile, of_a_row, of_the_update = 3, 1, 2, 2
    tiles = 10 * (of_a_tile + 3 * of_a_row)
    assert cycles_of_turn(LISTING) == of_a_step + tiles + 7 * of_the_update
    assert cycles_of_turn(LISTING, leave_out=10) == of_a_step + 7 * of_the_update


OPERATION = """
   0x1   :  { start }
   0x2 LB: > { of a window }
   0x3 LB: >> { %p2 = scmp.ge.s32.totalorder %s2, 5 /* loop exit test */ }
   0x4   : >> { %4 = sbr.rel (!%p2) target = $region1 }
   0x5   : > { %p1 = scmp.ge.s32.totalorder %s1, 8 /* loop exit test */ }
   0x6   :  { %6 = sbr.rel (!%p1) target = $region2 }
"""


def test_an_operation_counts_its_windows_and_not_the_turns_that_fetch_and_store():
    of_a_window, of_a_row = 2, 2
    assert cycles_of_operation(OPERATION, windows=6) == 2 + 6 * (of_a_window + 5 * of_a_row)
    assert cycles_of_operation("   0x1   :  { one }", windows=1) == 1


def test_listings_are_counted_where_their_operation_stands(tmp_path):
    (tmp_path / "17-step-72-final_bundles.txt").write_text(OPERATION)
    (tmp_path / "17-step-71-schedule-analysis_final_bundles.txt").write_text("not one")
    found = regions(PROGRAM, listings(tmp_path))
    assert found["call/turn"].counted_cycles == cycles_of_operation(OPERATION, windows=6)
    assert found["call"].counted_cycles == 0
    assert regions(PROGRAM)["call/turn"].counted_cycles == 0
