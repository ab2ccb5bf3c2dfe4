"""Benchmarks of event loops, interleaved: ``python -m benches.loops``, or ``make bench-loops``.

``rows`` says what is measured and what is aimed at, ``sample`` measures one row on one loop once, ``table`` prints.
The process under test runs ``child``; its other side is ``treadle-load`` (a Rust program in ``load/``), for TLS
``tls_load``.
"""
