-- An account or a workspace that is deleted takes its payments along, and its documents stay: they refer to nothing that
-- goes. But a document that is not written yet never would be: what it says of the buyer and of the sale goes too. So
-- what was paid holds its account until its invoice, and the credit note of each refund, is issued and lies in the
-- bucket; that takes seconds, or as long as the buyer's State is missing, which the law wants on the invoice.

create function public.guard_payment_deletion() returns trigger
language plpgsql
set search_path = ''
as $$
begin
    if old.completed_at is not null and (
        not exists (select from public.invoices i where i.payment_id = old.id and i.pdf_object is not null)
        or exists (
            select from public.payment_refunds r
            where r.payment_id = old.id and r.status = 'completed'
              and not exists (select from public.credit_notes n where n.refund_id = r.id and n.pdf_object is not null)
        )
    ) then
        raise exception 'payment % was made and not all of its documents are written yet', old.id
            using errcode = 'check_violation', constraint = 'payments_wait_for_documents',
            hint = 'jobs/generate_invoice writes them; it needs the billing profile.';
    end if;
    return old;
end
$$;
revoke execute on function public.guard_payment_deletion() from public, anon, authenticated;

create trigger payments_wait_for_documents before delete on public.payments
    for each row execute function public.guard_payment_deletion();
create trigger payments_kept before truncate on public.payments
    for each statement execute function public.refuse_truncation();
