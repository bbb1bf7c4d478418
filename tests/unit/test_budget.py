"""`make budget`: what callgrind wrote is read rightly, and what costs too much is told."""

import pytest

from benchmarks import budget

# 100 requests. The line after `calls=` is what the callee cost, and no cost of the caller.
DUMP = """\
version: 1
events: Ir
fl=loop.c
fn=__pyx_f_7ringway_6engine_6worker_4loop_dispatch
10 1000
11 500
cfn=__pyx_f_7ringway_6engine_8exchange_5proxy_proxy_begin
calls=100 20
12 9000
fn=__pyx_f_7ringway_6engine_8exchange_5proxy_proxy_begin
20 2500
{allocation}
fn=CRYPTO_malloc
5 100
cfn=malloc
calls=300 0
6 900

fn=malloc
0 900
totals: 5000
"""
ALLOCATION = "cfn=malloc\ncalls=100 0\n21 300"
BUDGET = {"instructions": {"file": {"total": 1000, "functions": {"f": 900, "g": 100}}}, "system_calls": {}}


def test_costs_are_each_functions_own() -> None:
    count = budget.read_dump(DUMP.format(allocation=""), 100)
    assert count.instructions == 50
    assert count.functions["worker.loop.dispatch"] == 15
    assert count.functions["exchange.proxy.proxy_begin"] == 25
    assert count.allocations == {}, "what OpenSSL allocates is no allocation of Ringway's"


def test_an_allocation_of_ours_is_seen() -> None:
    count = budget.read_dump(DUMP.format(allocation=ALLOCATION), 100)
    assert count.allocations == {"exchange.proxy.proxy_begin calls malloc": 1.0}
    assert count.functions["exchange.proxy.proxy_begin"] == 25


@pytest.mark.parametrize(("now", "over"), [(1000, 0), (1010, 0), (1011, 1), (500, 0)])
def test_over_one_percent_is_over(now: int, over: int) -> None:
    count = budget.Count(now, {"f": now - 100, "g": 100})
    assert budget.judge({"file": count}, {}, BUDGET, False) == over


def test_what_grew_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    budget.judge({"file": budget.Count(1100, {"f": 900, "g": 200})}, {}, BUDGET, False)
    assert "+100 g (was 100, is 200)" in capsys.readouterr().out


def test_an_allocation_is_over_whatever_it_costs() -> None:
    count = budget.Count(900, {"f": 900}, {"proxy_begin calls malloc": 1.0})
    assert budget.judge({"file": count}, {}, BUDGET, False) == 1


def test_one_more_system_call_is_over() -> None:
    table = {"instructions": {}, "system_calls": {"epoll": {"file": {"sendto": 1.0, "epoll_wait": 1.0}}}}
    same = {"epoll": {"file": {"sendto": 1.0, "epoll_wait": 1.0}}}
    more = {"epoll": {"file": {"sendto": 1.0, "epoll_wait": 1.0, "recvfrom": 1.0}}}
    assert budget.judge({}, same, table, False) == 0
    assert budget.judge({}, more, table, False) == 1
