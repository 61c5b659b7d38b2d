"""`in_chunks` in threads holds NumPy's own threads to one, and gives them back."""

import numpy as np
import pytest
from threadpoolctl import ThreadpoolController, threadpool_limits

import purenet as pn


def blas_threads():
    return {each["num_threads"] for each in ThreadpoolController().select(user_api="blas").info()}


@pytest.mark.parametrize("fails", [False, True])
def test_products_have_one_thread_inside_and_theirs_again_after(fails):
    seen = []

    def function(params, x, target, key):
        seen.append(blas_threads())
        if fails:
            raise ValueError("stop")
        return np.float32(1), params

    with threadpool_limits(limits=2, user_api="blas"):
        before = blas_threads()
        run = pn.in_chunks(function, 2, threads=2)
        if fails:
            with pytest.raises(ValueError, match="stop"):
                run((), np.zeros(4), np.zeros(4))
        else:
            run((), np.zeros(4), np.zeros(4))
        assert blas_threads() == before
    assert 2 in before
    assert all(threads == {1} for threads in seen)
